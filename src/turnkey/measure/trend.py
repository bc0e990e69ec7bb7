"""Steps in a series of measurements of one thing over time: where it got faster or slower for good. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from turnkey.measure.statistics import Interval, welch_interval
from turnkey.measure.warmup import change_points

FEWEST = 8
"""Points below which no step can be told from noise."""
_LEVEL = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A level that changed.

    Attributes:
        index: of the first point on the new level.
        ratio: new time over old time with its interval: above 1 it got slower.
    """

    index: int
    ratio: Interval


def steps(latencies: Sequence[float]) -> tuple[Step, ...]:
    """Steps of a series of positive latencies in time order, any unit.

    Change points of the logs by PELT; of these only where the levels before and after differ (95 %, Welch).

    Source: Killick et al. 2012, as in `turnkey.measure.warmup`.
    """
    if len(latencies) < FEWEST:
        return ()
    logs = np.log(np.asarray(latencies, dtype=np.float64))
    bounds = (0, *change_points(logs), len(logs))
    found = []
    for (begin, start), (_, end) in pairwise(pairwise(bounds)):
        difference = welch_interval(logs[start:end].tolist(), logs[begin:start].tolist(), level=_LEVEL)
        if difference.low > 0 or difference.high < 0:
            found.append(Step(index=start, ratio=difference.exp()))
    return tuple(found)
