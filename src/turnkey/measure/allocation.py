"""How many passes a round gets: what the rounds so far say about where precision is cheapest.

A round costs its processes' start, loading and warm-up before its first pass. Where passes of one round differ more
than rounds do, more passes per start pay; where rounds differ more, more starts do. The best number of passes is
√(c₂/c₁ · σ₁²/σ₂²): c₂ is the cost of a round's start, c₁ of a pass, σ₁² the variance of a pass and σ₂² of a round,
both of the difference between two variants. The passes take at most as long as the start: a round at most doubles.

Only variances of earlier rounds decide, never their means, so the comparison is not steered by what it shows: where
rounds are of different pairs (a twin that moved, the layout of pairs), each pair varies about its own mean.

Source: Kalibera & Jones, "Rigorous benchmarking in reasonable time" (ISMM 2013), §6.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from turnkey.measure.slices import Slice
from turnkey.measure.units import pass_table

_ROUND_VARIANCE = 2 * 0.01**2
"""Two processes of one variant that each lie 1 % (one standard deviation) off: what is assumed before it is seen."""
_ROUND_WEIGHT = 2
"""Rounds that the assumption counts for."""
_NORMAL_SCALE = 1.4826
"""Standard deviation of a normal distribution over its median absolute deviation."""


class RoundSpread(NamedTuple):
    """What one round says about where its time went.

    Attributes:
        passes: how many it had.
        duration_ns: of all its slices, with the calls that settle.
        difference: of a pair of names; None for a round of one name, and for one of too few passes.
    """

    passes: int
    duration_ns: int
    difference: _Difference | None


def round_spread(present: Mapping[str, Sequence[Slice]]) -> RoundSpread:
    """Of the slices of one round by name."""
    slices = [item for items in present.values() for item in items]
    return RoundSpread(
        passes=len({item.p for item in slices}),
        duration_ns=sum(sum(item.ns) + (item.settle or 0) for item in slices),
        difference=_pass_differences(present),
    )


def best_passes(rounds: Sequence[RoundSpread], *, start_ns: float, fewest: int, most: int) -> int:
    """Passes of the next round, within ``fewest`` and ``most``.

    Args:
        rounds: all so far.
        start_ns: mean time per round before its first pass.
    """
    seen = [each.difference for each in rounds if each.difference is not None]
    if not seen or most <= fewest:
        return fewest
    pass_ns = sum(each.duration_ns for each in rounds) / sum(each.passes for each in rounds)
    within = float(np.mean([found.variance for found in seen]))
    between = _ROUND_VARIANCE
    middles: dict[tuple[str, str], list[float]] = {}
    for found in seen:
        middles.setdefault(found.pair, []).append(found.middle)
    known = len(seen) - len(middles)  # a pair of which there is one round says nothing about rounds
    if known:
        noise = float(np.mean([found.variance / found.passes for found in seen]))
        squares = sum(len(items) * float(np.var(items)) for items in middles.values())
        observed = max(0.0, squares / known - noise)
        between = (_ROUND_WEIGHT * _ROUND_VARIANCE + known * observed) / (_ROUND_WEIGHT + known)
    best = math.sqrt(start_ns / pass_ns * within / between)
    return max(fewest, min(most, round(best), int(start_ns // pass_ns)))


class _Difference(NamedTuple):
    """What one round shows of the difference between its first two names.

    Attributes:
        variance: of a pass, for a median over them: π/2 times the square of the scale from the median absolute
            deviation.
        middle: median over passes.
    """

    pair: tuple[str, str]
    variance: float
    middle: float
    passes: int


def _pass_differences(present: Mapping[str, Sequence[Slice]]) -> _Difference | None:
    """None where there are no two names, or too few passes that both had."""
    table = pass_table(present)
    if len(table) < 2:
        return None
    differences = table[0] - table[1]
    differences = differences[np.isfinite(differences)]
    if len(differences) < 3:
        return None
    middle = float(np.median(differences))
    scale = _NORMAL_SCALE * float(np.median(np.abs(differences - middle)))
    first, second, *_ = present
    return _Difference(pair=(first, second), variance=math.pi / 2 * scale**2, middle=middle, passes=len(differences))
