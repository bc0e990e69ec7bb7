"""When a process is warm, and whether it really was.

Pure: `time_calls(n)` makes n calls and returns their durations in nanoseconds; a simulated host passes its own.

Trade-offs: the tests are one-sided ("not getting faster any more"), so noise cannot trap them, and a decay much
slower than the warm-up can hide; `still_warming` finds part of those afterwards.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

import numpy as np

from turnkey.measure.slices import Slice
from turnkey.measure.statistics import Floats, median, slice_log, t_interval

TimeCalls = Callable[[int], Sequence[int]]

CAP_CALLS = 2_000
CAP_NS = 30e9
LEAST_NS = 0.2e9
_LEAST_TO_FAIL_NS = 1e9
"""Short calls reach the cap before 0.2 s: they get further blocks, or one noisy block would condemn them."""
GROWTH = 1.25
_NOT_FASTER = 0.99
SLOW_CALL_NS = 2e9
_COURSE_POINTS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class WarmUp:
    """What a warm-up did.

    Attributes:
        ns: all its calls in time order, nanoseconds.
        n_warm: calls until steady (calibration only); elsewhere the number of calls made.
        settled: the criterion was met before the cap.
        untested: calls too slow for a test (note ``warm-up-untested``).
    """

    ns: tuple[int, ...]
    n_warm: int
    settled: bool
    untested: bool = False

    @property
    def steady_ns(self) -> float:
        """Median of the last third: how long a call takes now."""
        return float(median(self.ns[2 * len(self.ns) // 3 :]))


def calibrate(time_calls: TimeCalls, *, call_ns: float, cap_calls: int = CAP_CALLS) -> WarmUp:
    """Once per variant: call without pause until the last third is no faster than the middle one, twice running."""
    if call_ns > SLOW_CALL_NS:
        return _untested(time_calls)
    times: list[int] = []
    target, hits, spent = first_calls(call_ns), 0, 0
    while True:
        batch = time_calls(target - len(times))
        times.extend(batch)
        spent += sum(batch)
        third = len(times) // 3
        middle, last = median(times[third : 2 * third]), median(times[2 * third :])
        hits = hits + 1 if last >= _NOT_FASTER * middle else 0
        if hits == 2:
            return WarmUp(ns=tuple(times), n_warm=_calls_to_steady(times), settled=True)
        if len(times) >= cap_calls or spent >= CAP_NS:
            return WarmUp(ns=tuple(times), n_warm=_calls_to_steady(times), settled=False)
        target = min(math.ceil(target * GROWTH), cap_calls)


def warm(time_calls: TimeCalls, *, call_ns: float, n_warm: int, cap_calls: int = CAP_CALLS) -> WarmUp:
    """In every worker: blocks until the newest is no faster than the one before, twice running.

    At least ``n_warm`` calls and 0.2 s are done; calls so short that 0.2 s exceeds the cap go on without it.
    """
    if call_ns > SLOW_CALL_NS:
        return _untested(time_calls)
    block = block_calls(call_ns)
    times: list[int] = []
    before, hits, spent = math.inf, 0, 0
    while True:
        batch = time_calls(block)
        times.extend(batch)
        spent += sum(batch)
        newest = median(batch)
        hits = hits + 1 if newest >= _NOT_FASTER * before else 0
        before = newest
        enough = len(times) >= min(n_warm, cap_calls) and spent >= LEAST_NS
        if enough and hits >= 2:
            return WarmUp(ns=tuple(times), n_warm=len(times), settled=True)
        if enough and len(times) >= cap_calls and spent >= _LEAST_TO_FAIL_NS:
            return WarmUp(ns=tuple(times), n_warm=len(times), settled=False)
        if spent >= CAP_NS:
            return WarmUp(ns=tuple(times), n_warm=len(times), settled=hits >= 2)
        if spent < LEAST_NS and newest * block < LEAST_NS / 50:
            block = min(block * 2, 5_000)  # microseconds: do not spend the 0.2 s on thousands of tiny blocks


def first_calls(call_ns: float) -> int:
    """Calls after which a calibration is first judged."""
    return _clamp(3e9 / call_ns, 15, 60)


def block_calls(call_ns: float) -> int:
    """Calls of one block of a warm-up."""
    return _clamp(1e9 / call_ns, 5, 20)


def still_warming(rounds: Mapping[int, Mapping[str, Sequence[Slice]]], key: str, *, twin: str = "") -> bool:
    """Part 3: over rounds, did ``key`` get faster inside its rounds by more than its peers did?

    Args:
        rounds: timed slices of each process, by round and key.
        twin: the key's own twin, which warms as it does and is no control.
    """
    drifts = []
    for processes in rounds.values():
        own = _drift(processes.get(key, ()))
        if own is None:
            continue
        others = [d for name, items in processes.items() if name not in (key, twin) for d in [_drift(items)]]
        known = [d for d in others if d is not None]
        drifts.append(own - (sum(known) / len(known) if known else 0.0))
    if len(drifts) < 3:
        return False
    found = t_interval(drifts, level=0.02)  # one-sided 99 % is two-sided 98 %
    return found.high < 0 and found.mean < -0.005


class Course(Enum):
    """What change points say of one process's calls (Barrett et al. 2017)."""

    FLAT = "flat"
    WARM_UP = "warm-up"
    SLOWDOWN = "slowdown"
    NO_STEADY_STATE = "no steady state"
    INCONSISTENT = "inconsistent"


def course(processes: Sequence[Sequence[float]]) -> Course:
    """Label of a variant from its processes' calls; processes that disagree make it inconsistent.

    Long sequences are thinned to medians of blocks: change points of a few calls are bursts, not the program's.
    """
    labels = {_course(_thinned(np.asarray(times, dtype=np.float64))) for times in processes if len(times) >= 8}
    if not labels:
        return Course.FLAT
    return labels.pop() if len(labels) == 1 else Course.INCONSISTENT


def change_points(values: Floats) -> tuple[int, ...]:
    """Starts of the segments after the first, by PELT with penalty 15 log n (changes in mean and variance).

    Source: Killick et al. 2012; the penalty is that of warmup_stats.
    """
    n = len(values)
    sums, squares = (np.concatenate(([0.0], np.cumsum(part))) for part in (values, values**2))
    penalty, shortest = 15 * math.log(n), 4
    floor = max(float(np.var(values)) * 1e-8, 1e-12)

    def cost(starts: Floats, end: int) -> Floats:
        first = starts.astype(np.intp)
        size = end - first
        variance = (squares[end] - squares[first]) / size - ((sums[end] - sums[first]) / size) ** 2
        return np.asarray(size * (np.log(np.maximum(variance, floor)) + 1))

    best = np.full(n + 1, np.inf)
    best[0] = -penalty
    previous = np.zeros(n + 1, dtype=np.intp)
    candidates = np.array([0.0])
    for end in range(shortest, n + 1):
        totals = best[candidates.astype(np.intp)] + cost(candidates, end) + penalty
        winner = int(np.argmin(totals))
        best[end], previous[end] = totals[winner], int(candidates[winner])
        candidates = np.append(candidates[totals - penalty <= best[end]], end - shortest + 1.0)
        candidates = candidates[best[candidates.astype(np.intp)] < np.inf]
        if not len(candidates):
            candidates = np.array([0.0])
    points, end = [], n
    while end > 0 and previous[end] > 0:
        end = int(previous[end])
        points.append(end)
    return tuple(reversed(points))


def _course(values: Floats) -> Course:
    # Outliers beyond the fences would be read as segments of their own: clipped for this label only.
    low, high = np.quantile(values, [0.25, 0.75])
    reach = 3 * (high - low)
    bounds = (0, *change_points(np.clip(values, low - reach, high + reach)), len(values))
    if len(bounds) == 2:
        return Course.FLAT
    means = [float(values[a:b].mean()) for a, b in pairwise(bounds)]
    spread = float(np.sqrt(np.mean([values[a:b].var() for a, b in pairwise(bounds)])))
    near = max(spread, 0.001 * means[-1])
    if bounds[-2] > 2 * len(values) / 3 and abs(means[-1] - means[-2]) > near:
        return Course.NO_STEADY_STATE
    if all(abs(mean - means[-1]) <= near for mean in means):
        return Course.FLAT
    return Course.WARM_UP if means[-1] == min(means) or means[-1] - min(means) <= near else Course.SLOWDOWN


def _thinned(values: Floats) -> Floats:
    size = max(1, len(values) // _COURSE_POINTS)
    return np.asarray(np.median(values[: len(values) // size * size].reshape(-1, size), axis=1))


def _calls_to_steady(times: Sequence[int]) -> int:
    """Start of the first two 10-call blocks in a row whose medians are within 1 % of the last third's."""
    final = median(times[2 * len(times) // 3 :])
    near = [abs(median(times[start : start + 10]) - final) <= 0.01 * final for start in range(0, len(times) - 9, 10)]
    for block, (this, following) in enumerate(pairwise(near)):
        if this and following:
            return block * 10
    return 2 * len(times) // 3


def _drift(slices: Sequence[Slice]) -> float | None:
    """Mean log slice median of the last third of passes minus that of the first; None with under 3 slices."""
    logs = [slice_log(item) for item in sorted(slices, key=lambda item: item.p)]
    third = len(logs) // 3
    if third == 0:
        return None
    return (math.fsum(logs[-third:]) - math.fsum(logs[:third])) / third


def _untested(time_calls: TimeCalls) -> WarmUp:
    return WarmUp(ns=tuple(time_calls(2)), n_warm=2, settled=True, untested=True)


def _clamp(value: float, low: int, high: int) -> int:
    return int(max(low, min(high, value)))
