"""Protobuf text format, as much of it as ``config.pbtxt`` needs: written from plain values, no library needed.

A message is a mapping of field names to values: a mapping is a nested message, a list repeats its field, `Enumerator`
is written bare, and None leaves a field out. Map fields are lists of ``{"key": …, "value": …}``. The schema is that of
``model_config.proto`` (triton-inference-server/common); a test parses what is written with the compiled schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Enumerator:
    """A value of an enum, written without quotes."""

    name: str


def dump(message: Mapping[str, Any]) -> str:
    """The text of a message, one field per line, in the mapping's order."""
    return "\n".join(_lines(message, "")) + "\n"


def map_of(entries: Mapping[str, Any]) -> list[dict[str, Any]]:
    """A map field."""
    return [{"key": key, "value": value} for key, value in entries.items()]


def _lines(message: Mapping[str, Any], indent: str) -> list[str]:
    lines: list[str] = []
    for name, value in message.items():
        for item in value if isinstance(value, list | tuple) else [value]:
            if item is None:
                continue
            if isinstance(item, Mapping):
                lines += [f"{indent}{name} {{", *_lines(item, indent + "  "), f"{indent}}}"]
            else:
                lines.append(f"{indent}{name}: {_scalar(item)}")
    return lines


def _scalar(value: Any) -> str:
    if isinstance(value, Enumerator):
        return value.name
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _quoted(value)
    return repr(value)


def _quoted(text: str) -> str:
    """A text in quotes; what is not printable ASCII as octal bytes of its UTF-8 form."""
    out = []
    for byte in text.encode():
        char = chr(byte)
        if char in '\\"':
            out.append(f"\\{char}")
        elif 32 <= byte < 127:
            out.append(char)
        else:
            out.append(f"\\{byte:03o}")
    return f'"{"".join(out)}"'
