"""YAML files as plain data: bounded, without tags, anchors or repeated keys, every value with its line.

Both our files of a build (state and statistics) are read through here, since both may come from a stranger. What is
refused before any value is made: more than 16 MiB, a tag (``!!python/object``), an anchor or alias (a few lines of
them can stand for gigabytes), nesting beyond 64 levels, a key twice in one mapping.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from turnkey.errors import ArtifactError, InputError

MAXIMUM_BYTES = 16 * 1024 * 1024
MAXIMUM_DEPTH = 64

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BaseDumper):  # type: ignore[misc]
    """Writes no anchors: what the reader refuses is never written."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _readable_text(dumper: Any, text: str) -> Any:
    """Text of several lines as a block, as a person would write it."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _readable_text)


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The content of one file.

    Attributes:
        path: the file, for messages.
        data: the mapping at its top.
        lines: line (from 1) of every key and list item by its path: ``("variants", 0, "key")``.
    """

    path: Path
    data: dict[str, Any]
    lines: dict[tuple[str | int, ...], int]

    def error(self, what: str, *place: str | int, remedy: str = "") -> ArtifactError:
        """The error for a value of this file, with file and line as evidence."""
        line = self.lines.get(place)
        where = f"{self.path}, line {line}" if line else str(self.path)
        named = ".".join(str(step) for step in place)
        return ArtifactError(what, evidence=f"{where}: {named}" if named else where, remedy=remedy)


def dump(data: dict[str, Any]) -> str:
    """Plain data as YAML text, keys in the order given."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return text


def read(path: Path) -> Document:
    """Read one file.

    Raises:
        InputError: the file is missing or cannot be read.
        ArtifactError: it is not plain YAML with a mapping at its top, or exceeds a limit.
    """
    try:
        with open(path, "rb") as file:
            content = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise InputError(f"cannot read {path.name}", evidence=f"{path}: {error.strerror or error}") from error
    if len(content) > MAXIMUM_BYTES:
        raise ArtifactError(f"{path.name} is larger than 16 MiB", evidence=f"{path}: {path.stat().st_size} bytes")
    try:
        lines = _checked_lines(path, content)
        data = yaml.load(content, Loader=_Loader)  # safe: CSafeLoader, or SafeLoader where libyaml is missing
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ArtifactError(f"{path.name} is not YAML", evidence=f"{path}: {_first_lines(error)}") from error
    if not isinstance(data, dict) or not all(isinstance(key, str) for key in data):
        raise ArtifactError(f"{path.name} does not hold a mapping of names to values", evidence=str(path))
    return Document(path=path, data=data, lines=lines)


def _checked_lines(path: Path, content: bytes) -> dict[tuple[str | int, ...], int]:
    """Lines of all values by place; refuses what a plain file does not have, before any object is made."""
    lines: dict[tuple[str | int, ...], int] = {}
    levels: list[_Level] = []

    def refuse(what: str, event: Any) -> ArtifactError:
        return ArtifactError(f"{path.name} has {what}", evidence=f"{path}, line {_line(event)}")

    events: Any = yaml.parse(content, Loader=_Loader)
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise refuse("an anchor or alias, which a plain file does not need", event)
        tag = getattr(event, "tag", None)
        if tag and tag != "!":
            raise refuse(f"the tag {tag!r}: only plain values are read", event)
        if isinstance(event, yaml.CollectionEndEvent):
            levels.pop()
            continue
        if not isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            continue
        place: tuple[str | int, ...] = ()
        if levels:
            level = levels[-1]
            repeated = level.advance(event.value if isinstance(event, yaml.ScalarEvent) else None)
            if repeated is not None:
                raise refuse(f"the key {repeated!r} twice", event)
            place = level.place
            lines.setdefault(place, _line(event))
        if isinstance(event, yaml.CollectionStartEvent):
            if len(levels) >= MAXIMUM_DEPTH:
                raise refuse(f"more than {MAXIMUM_DEPTH} levels", event)
            levels.append(_Level(place, is_mapping=isinstance(event, yaml.MappingStartEvent)))
    return lines


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


class _Level:
    """One open mapping or list while events pass by."""

    def __init__(self, parent: tuple[str | int, ...], *, is_mapping: bool) -> None:
        self._parent = parent
        self._is_mapping = is_mapping
        self._keys: set[str] = set()
        self._count = 0
        self._at_value = False
        self.place = parent

    def advance(self, scalar: str | None) -> str | None:
        """Step to the next key, value or item; returns a key that was there before."""
        if not self._is_mapping:
            self.place = (*self._parent, self._count)
            self._count += 1
            return None
        self._at_value = not self._at_value
        if not self._at_value or scalar is None:
            return None
        self.place = (*self._parent, scalar)
        if scalar in self._keys:
            return scalar
        self._keys.add(scalar)
        return None


def _first_lines(error: Exception) -> str:
    return "\n".join(str(error).splitlines()[:4])
