"""The ladder of batch sizes: which rung comes next, and when throughput no longer grows. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from turnkey.errors import UsageError
from turnkey.measure.statistics import Interval


class Stop(StrEnum):
    """Why a climb ended."""

    COMPLETE = "complete"
    SATURATED = "saturated"
    MEMORY_GUARD = "memory_guard"
    UNSTABLE = "unstable"
    ERROR = "error"
    BUDGET = "budget"


@dataclass(frozen=True, slots=True, kw_only=True)
class LadderRule:
    """When to stop climbing.

    Attributes:
        throughput_cutoff_threshold: relative gain below which a rung fails; None or ≤ −1 never stops.
        throughput_backoff_limit: failing rungs of grace, against the best of the last ones (later generation);
            None is the earlier rule: against the rung before, no grace.
        batch_sizes: the rungs; None is 1, 2, 4, …
        max_batch_size: largest rung where ``batch_sizes`` is None; itself a rung.
        on_unstable: ``stop`` ends the climb at a rung whose windows never agreed, ``flag`` goes on; either keeps it.
        unstable_repeats: how often such a rung is measured again first, each time with windows twice as long.
    """

    throughput_cutoff_threshold: float | None = 0.05
    throughput_backoff_limit: int | None = None
    batch_sizes: tuple[int, ...] | None = None
    max_batch_size: int | None = None
    on_unstable: str = "stop"
    unstable_repeats: int = 0

    def __post_init__(self) -> None:
        threshold = self.throughput_cutoff_threshold
        if threshold is not None and not math.isfinite(threshold):
            raise UsageError("the throughput cutoff must be finite", evidence=f"{threshold}")
        if self.batch_sizes is not None and (not self.batch_sizes or min(self.batch_sizes) < 1):
            raise UsageError("batch sizes are whole numbers from 1", evidence=f"{self.batch_sizes}")
        if self.max_batch_size is not None and self.max_batch_size < 1:
            raise UsageError("the largest batch size is a whole number from 1", evidence=f"{self.max_batch_size}")
        if self.on_unstable not in ("stop", "flag"):
            raise UsageError(f"an unstable rung cannot be answered by {self.on_unstable!r}", remedy="stop or flag")
        if self.unstable_repeats < 0 or (self.throughput_backoff_limit or 0) < 0:
            raise UsageError("repeats and rungs of grace start at 0", evidence=f"{self}")

    @property
    def never_stops(self) -> bool:
        return self.throughput_cutoff_threshold is None or self.throughput_cutoff_threshold <= -1


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One measured batch size.

    Attributes:
        throughput: items per second, 1000·batch/mean averaged over the last k windows.
        peak_bytes: largest memory of the process, where known.
        gain: interval of throughput over that of the rung it is compared to; None for the first.
        extra: measured only because the gain before straddled the threshold.
        stable: the windows agreed.
    """

    batch: int
    throughput: float
    peak_bytes: int | None = None
    gain: Interval | None = None
    extra: bool = False
    stable: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class NextRung:
    """What comes next: a batch size, or none with the reason in a word and in words."""

    batch: int | None
    reason: str
    extra: bool = False
    stop: Stop | None = None


def throughput(means_ms: Sequence[float], batch: int) -> float:
    """Items per second: 1000·batch/mean of each of the last windows, averaged."""
    return sum(1000 * batch / mean for mean in means_ms) / len(means_ms)


def sizes(rule: LadderRule) -> Iterator[int]:
    """The rungs in ascending order: the given ones without duplicates, else the powers of two."""
    if rule.batch_sizes is not None:
        yield from sorted(set(rule.batch_sizes))
        return
    batch = 1
    while rule.max_batch_size is None or batch < rule.max_batch_size:
        yield batch
        batch *= 2
    yield rule.max_batch_size


def next_rung(rungs: Sequence[Rung], rule: LadderRule, *, free_bytes: float = math.inf) -> NextRung:
    """Which batch size to measure after these rungs (in the order in which they were measured).

    A rung whose predicted memory exceeds ``free_bytes`` is never tried. A rung that fails the cutoff is kept and
    ends the climb; where its gain's interval straddles the threshold, one more rung is measured and marked.
    """
    if rungs and not rungs[-1].stable and rule.on_unstable == "stop":
        return _end(Stop.UNSTABLE, f"the windows of batch {rungs[-1].batch} never agreed")
    if rungs and rungs[-1].extra:
        return _end(Stop.SATURATED, f"throughput stopped growing at batch {rungs[-2].batch}")
    saturated = bool(rungs) and is_saturated(rungs, rule)
    is_doubtful = saturated and _straddles(rungs[-1], rule)
    if saturated and not is_doubtful:
        return _end(Stop.SATURATED, f"throughput stopped growing at batch {rungs[-1].batch}")
    batch = next((size for i, size in enumerate(sizes(rule)) if i == len(rungs)), None)
    if batch is None:
        return _end(Stop.COMPLETE, "all batch sizes were measured")
    predicted = predicted_bytes(rungs, batch)
    if predicted is not None and predicted > free_bytes:
        need, room = (f"{value / 2**20:,.0f} MiB" for value in (predicted, free_bytes))
        return _end(Stop.MEMORY_GUARD, f"batch {batch} is predicted to need {need} of {room}")
    if is_doubtful:
        return NextRung(batch=batch, reason="the gain's interval straddles the threshold", extra=True)
    return NextRung(batch=batch, reason="")


def is_saturated(rungs: Sequence[Rung], rule: LadderRule) -> bool:
    """The documented boolean: the last rung's throughput is too small a gain."""
    if rule.never_stops or len(rungs) < 2 or rule.throughput_cutoff_threshold is None:
        return False
    values = [rung.throughput for rung in rungs]
    factor = 1 + rule.throughput_cutoff_threshold
    if rule.throughput_backoff_limit is None:
        return values[-1] < values[-2] * factor
    best, failing = values[0], 0
    for value in values[1:]:
        if value < best * factor:
            failing += 1
        else:
            best, failing = value, 0
        if failing > rule.throughput_backoff_limit:
            return True
    return False


def predicted_bytes(rungs: Sequence[Rung], batch: int) -> float | None:
    """Memory that a batch size is going to need: the last two rungs continued as a line, never below the last.

    None with under two rungs of known memory.
    """
    known = [(rung.batch, rung.peak_bytes) for rung in rungs if rung.peak_bytes is not None]
    if len(known) < 2:
        return None
    slopes = [(later[1] - earlier[1]) / (later[0] - earlier[0]) for earlier, later in pairwise(known)]
    last_batch, last_bytes = known[-1]
    return last_bytes + max(0.0, *slopes[-2:]) * (batch - last_batch)


def compared_to(rungs: Sequence[Rung], rule: LadderRule) -> Rung | None:
    """The rung that the next one's throughput is held against: the last, or the best where grace is given."""
    if not rungs or rule.throughput_backoff_limit is None:
        return rungs[-1] if rungs else None
    return max(rungs, key=lambda rung: rung.throughput)


def _end(stop: Stop, reason: str) -> NextRung:
    return NextRung(batch=None, reason=reason, stop=stop)


def _straddles(rung: Rung, rule: LadderRule) -> bool:
    if rung.gain is None or rule.throughput_cutoff_threshold is None or rule.throughput_backoff_limit is not None:
        return False
    return rung.gain.low < 1 + rule.throughput_cutoff_threshold < rung.gain.high
