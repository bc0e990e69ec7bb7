"""What stands in one cell of a CSV file: text that no spreadsheet executes and no reader has to evaluate."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

MISSING = "-"
"""A key that a build does not have."""

_NUMBER = re.compile(r"-(\d+(\.\d*)?|\.\d+)(e[+-]?\d+)?|-(inf|nan)", re.IGNORECASE)
_FORMULA_STARTS = ("=", "+", "@", "\t", "\r")
_LEFT_OUT = {"packages", "versions"}
"""Lists of installed packages: hundreds of columns that say nothing about the model."""


def guarded(text: str) -> str:
    """The text, with a leading ``'`` where a spreadsheet would run it, or `unguarded` would shorten it."""
    return f"'{text}" if _is_formula(text.lstrip("'")) else text


def unguarded(text: str) -> str:
    """The text before `guarded`."""
    return text.removeprefix("'") if _is_formula(text.lstrip("'")) else text


def _is_formula(text: str) -> bool:
    is_negative_text = text.startswith("-") and text != MISSING and not _NUMBER.fullmatch(text)
    return text.startswith(_FORMULA_STARTS) or is_negative_text


def cell(value: Any) -> str:
    """A value as text: lists joined by spaces, nothing as `MISSING`; never Python's own notation."""
    return guarded(_text(value))


def columns_of(key: str, value: Any) -> Iterator[tuple[str, str]]:
    """The columns of one statistics key with their cells: one, or one per entry of a mapping, however deep.

    A list of mappings, as the steps of a curve, is a column per plain entry with the values of all of them in order.
    ``labels`` stay one cell, written as in the first line of a script; lists of installed packages are left out.
    """
    if key.rpartition(".")[2] in _LEFT_OUT:
        return
    if key == "labels" and isinstance(value, Mapping):
        yield (
            key,
            guarded(" ".join(f"{label}::{','.join(map(str, _many(values)))}" for label, values in value.items())),
        )
    elif isinstance(value, Mapping):
        for name, inner in value.items():
            yield from columns_of(f"{key}.{name}", inner)
    elif isinstance(value, list | tuple) and value and all(isinstance(item, Mapping) for item in value):
        for name in dict.fromkeys(name for item in value for name in item):
            values = [item.get(name, MISSING) for item in value]
            if not any(isinstance(each, Mapping | list | tuple) for each in values):
                yield guarded(f"{key}.{name}".lower()), cell(values)
    else:
        yield guarded(key.lower()), cell(value)


def _many(values: Any) -> list[Any]:
    return list(values) if isinstance(values, list | tuple) else [values]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple | set | frozenset):
        return " ".join(_item(item) for item in value)
    return _item(value)


def _item(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return repr(value)
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)
