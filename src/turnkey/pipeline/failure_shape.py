"""What two messages of one cause have in common: everything but names, paths, addresses and numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")

_VARYING = (
    (re.compile(r"'[^']*'|\"[^\"]*\""), "'…'"),
    (re.compile(r"(?<![\w.])/[^\s:,;)]+"), "/…"),
    (re.compile(r"0x[0-9a-fA-F]+|\b(?=[0-9a-f]*\d)[0-9a-f]{8,}\b"), "#"),
    (re.compile(r"\d+(\.\d+)?"), "N"),
)


def shape_of(message: str) -> str:
    """A message without what varies between inputs that failed alike."""
    for pattern, stands_for in _VARYING:
        message = pattern.sub(stands_for, message)
    return message


def by_cause(
    items: Iterable[Item], *, place: Callable[[Item], Hashable], message: Callable[[Item], str]
) -> list[list[Item]]:
    """What failed at one place with messages of one shape, together; the most frequent first, then as they came."""
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        groups.setdefault((place(item), shape_of(message(item))), []).append(item)
    return sorted(groups.values(), key=lambda alike: -len(alike))
