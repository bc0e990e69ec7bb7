"""Configuration objects as plain dictionaries, which files and reproduce scripts hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from enum import Enum
from os import PathLike, fspath
from typing import Any


class DataObject:
    """Base of the configuration dataclasses of this door."""

    def to_dict(self, filter_fields: Iterable[str] | None = None, parse: bool = False) -> dict[str, Any]:
        """The fields by name.

        Args:
            filter_fields: names that are left out.
            parse: enums become their values and paths text, at every depth; else values are as they are.
        """
        left_out = set(filter_fields or ())
        names = [field.name for field in fields(self)]  # type: ignore[arg-type]  # every subclass is a dataclass
        values = {name: getattr(self, name) for name in names if name not in left_out}
        return {name: parsed(value) for name, value in values.items()} if parse else values


def parsed(value: Any) -> Any:
    """A configuration value as plain data."""
    if isinstance(value, DataObject):
        return value.to_dict(parse=True)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, PathLike):
        return fspath(value)
    if isinstance(value, Mapping):
        return {str(parsed(key)): parsed(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [parsed(item) for item in value]
    return value
