"""Which of several candidates that a measurement cannot tell apart is taken. Pure.

One in the model's own precision before one that rounds; then by the measures of an order, each among those that the
one before it left; then the name. What hardly changes from run to run comes first.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

LOSS, NAME = "loss", "name"
"""What decides before every order, and after it."""
MEASURES = ("memory", "size", "error", "load")
DEFAULT_ORDER = MEASURES
NOISE = {"memory": 0.05, "load": 0.25}
"""Relative difference of two values that says nothing: pages of libraries and of the page cache come and go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tied:
    """One of the candidates that tie. What is not known is infinite.

    Attributes:
        is_lossy: computes in a lower precision than the source.
        memory_bytes: largest peak of its process.
        size_bytes: of its file.
        error: largest that verification saw; in one unit for all that tie.
        load_ms: time to load it, and to compile it where it is compiled.
    """

    key: str
    is_lossy: bool
    memory_bytes: float
    size_bytes: int
    error: float = math.inf
    load_ms: float = math.inf

    def amount(self, measure: str) -> float:
        """Of one of `MEASURES`; the less the better."""
        amounts = {"memory": self.memory_bytes, "size": self.size_bytes, "error": self.error, "load": self.load_ms}
        return amounts[measure]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settlement:
    """The candidate that is taken, and what left it alone: `LOSS`, one of `MEASURES`, or `NAME`."""

    key: str
    by: str


def settled(tied: Sequence[Tied], *, order: Sequence[str] = DEFAULT_ORDER) -> Settlement:
    """Who is taken; of at least one.

    Args:
        order: of `MEASURES`; what is not in it decides nothing.
    """
    left = [each for each in tied if not each.is_lossy] or list(tied)
    by = LOSS
    for measure in order:
        if len(left) == 1:
            break
        by = measure
        most = min(each.amount(measure) for each in left) * (1 + NOISE.get(measure, 0.0))
        left = [each for each in left if each.amount(measure) <= most]
    if len(left) > 1:
        by = NAME
    return Settlement(key=min(each.key for each in left), by=by)


def order_of(names: Sequence[str]) -> tuple[str, ...]:
    """An order as it was given.

    Raises:
        ValueError: a name that is none of `MEASURES`, one twice, or none at all.
    """
    unknown = [name for name in names if name not in MEASURES]
    if unknown or not names:
        raise ValueError(f"no measure {', '.join(unknown) or 'is named'}; there are: {', '.join(MEASURES)}")
    if len(set(names)) < len(names):
        raise ValueError(f"one measure is named twice: {', '.join(names)}")
    return tuple(names)
