"""Which of several candidates that a measurement cannot tell apart is taken. Pure.

By what does not change from run to run: one in the model's own precision before one that rounds, then the smaller
memory (peaks within `MEMORY_NOISE` are equal, one that is not known is the largest), then the smaller file, then the
name.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

MEMORY_NOISE = 0.05
"""Relative difference of two peaks of resident memory that says nothing: pages of libraries come and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """One of the candidates that tie.

    Attributes:
        is_lossy: computes in a lower precision than the source.
        memory_bytes: largest peak of its process; infinite where it is not known.
        size_bytes: of its file.
    """

    key: str
    is_lossy: bool
    memory_bytes: float
    size_bytes: int


def winner(tied: Sequence[Tied]) -> str:
    """Key of the candidate that is taken; of at least one."""
    alike = min(each.memory_bytes for each in tied) * (1 + MEMORY_NOISE)

    def rank(each: Tied) -> tuple[bool, float, int, str]:
        memory = 0.0 if each.memory_bytes <= alike else each.memory_bytes
        return each.is_lossy, memory, each.size_bytes, each.key

    return min(tied, key=rank).key
