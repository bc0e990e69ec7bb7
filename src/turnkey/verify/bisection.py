"""Bisection over the steps of a computation: which one is wrong. Pure.

A computation is a chain of positions 0 (its inputs) to ``count`` (its outputs). What is asked of it is whether the
steps between two positions, fed with right values, give wrong ones. So a step is found by its own error, not by what
earlier steps did to it.
"""

from __future__ import annotations

from collections.abc import Callable


def divergent_step(count: int, differs: Callable[[int, int], bool]) -> int | None:
    """The position that a wrong step ends at; None if no step alone is wrong, so that errors have added up.

    Args:
        count: how many steps there are, at least one; all of them together are known to differ.
        differs: whether the steps from one position to a later one give wrong values from right ones.

    The half that begins earlier is asked first: of several wrong steps the first is found. About ``2 log2(count)``
    questions.
    """
    low, high = 0, count
    while high - low > 1:
        middle = (low + high) // 2
        if differs(low, middle):
            high = middle
        elif differs(middle, high):
            low = middle
        else:
            return None
    return high
