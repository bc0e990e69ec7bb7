"""What two messages of one cause have in common: everything but names, paths, addresses and numbers."""

from __future__ import annotations

import re

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
