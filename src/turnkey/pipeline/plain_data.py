"""Values as plain data: what YAML and JSON hold without tags, the same in every process."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any


def plain(value: Any) -> Any:
    """Strings, numbers, booleans, None, lists and dicts with text keys, whatever came in.

    Tuples and sets become lists (sets sorted), paths text, enums their value, numpy scalars Python's numbers. A number
    that is not finite becomes text (``"inf"``, ``"nan"``): JSON has none, and a reader must not compute with it. Bytes
    of a file name that are no text are written as ``\\udcff``.

    Raises:
        TypeError: a value has no plain form.
    """
    if value is None or type(value) in (bool, int):
        return value
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, str):
        return _encodable(str.__str__(value))
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else str(float(value))
    if isinstance(value, int):
        return int(value)
    if isinstance(value, Mapping):
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, (set, frozenset)):
        return [plain(item) for item in sorted(value, key=str)]
    if isinstance(value, os.PathLike):
        return _encodable(os.fsdecode(value))
    item = getattr(value, "item", None)  # numpy scalars, without importing numpy
    if callable(item) and getattr(value, "shape", None) == ():
        return plain(item())
    raise TypeError(f"a {type(value).__name__} has no plain form")


def finite(value: Any) -> Any:
    """The same data with None for NaN and infinity, which JSON lacks and YAML's readers break on; texts as keys."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [finite(inner) for inner in value]
    return value


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "backslashreplace").decode()
    return text
