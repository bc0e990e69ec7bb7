"""TOML with comments and in a given order; what it writes, `tomllib` reads back as the same values.

Scope: what an artifact's metadata needs: tables, arrays of tables, texts, numbers, switches and lists of those.
Values of None are left out: TOML has none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

_BARE = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Commented:
    """A value with a comment behind it on its line."""

    value: Any
    comment: str


def toml_text(document: Mapping[str, Any], *, heading: tuple[str, ...] = ()) -> str:
    """The document as text; mappings become tables, lists of mappings arrays of tables.

    Raises:
        TypeError: a value that TOML cannot hold.
    """
    lines = [*(f"# {line}" for line in heading), *([""] if heading else []), *_table(document, ())]
    return "\n".join(lines).strip("\n") + "\n"


def _table(content: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[str]:
    tables = {key: value for key, value in content.items() if isinstance(value, Mapping)}
    arrays = {key: value for key, value in content.items() if _is_array_of_tables(value)}
    for key, value in content.items():
        if key in tables or key in arrays or value is None:
            continue
        if isinstance(value, Commented):
            yield f"{_key(key)} = {_value(value.value)} # {value.comment}"
        else:
            yield f"{_key(key)} = {_value(value)}"
    for key, value in content.items():
        inner = (*path, key)
        if key in tables:
            # Needed for values only; but the documented example opens its inner tables too.
            if len(inner) > 1 or not value or any(not isinstance(item, Mapping) for item in value.values()):
                yield from ("", f"[{_dotted(inner)}]")
            yield from _table(value, inner)
        elif key in arrays:
            for item in value:
                yield from ("", f"[[{_dotted(inner)}]]")
                yield from _table(item, inner)


def _is_array_of_tables(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, Mapping) for item in value)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(float(value))  # numpy's floats are floats with another repr
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(item) for item in value)}]"
    if isinstance(value, Mapping):
        return (
            "{" + ", ".join(f"{_key(key)} = {_value(item)}" for key, item in value.items() if item is not None) + "}"
        )
    raise TypeError(f"TOML has no {type(value).__name__}")


def _text(value: str) -> str:
    clean = value.encode("utf-8", "backslashreplace").decode()  # lone surrogates, as in names of files
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _text(str(name))


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(_key(name) for name in path)
