"""One candidate's numbers, all from the samples of a record."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from turnkey.measure import statistics
from turnkey.measure.slices import Slice
from turnkey.measure.statistics import Interval

PERCENTILES = (50, 90, 95, 99, 99.9)
_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateSummary:
    """What a report shows of one candidate. Milliseconds unless the name says otherwise; None is "–".

    Attributes:
        latency_ms, low_ms, high_ms: exp(mean unit) with its 95 % t interval over rounds (one round: bootstrap of its
            slices' medians; of another objective than the median one round has no interval).
        median_ms, mean_ms, std_ms: of the pooled timed calls.
        percentiles_ms: of the pooled timed calls; None where too few calls carry them.
        percentile_bounds_ms: their 95 % intervals.
        throughput_per_s: calls completed per second of timed time.
        timed_calls, rounds, outliers: how much it rests on.
        import_ms: shortest of its processes.
        load_ms, compile_ms, first_ms: medians over processes; all but the first find the page cache warm.
        first_load_ms: of the first process, perhaps the first on this host.
        warm_calls: calls to steady, from the calibration.
        cpu_ms: CPU time per call.
        device_ms, copy_in_ms, copy_out_ms: medians by events on an accelerator; None without one.
        threads, threads_used: the number given, and CPU time over wall time.
        joules_per_call: energy of the processor packages; None where its counters cannot be read.
        course: what change points say of its processes: flat, warm-up, slowdown, no steady state, inconsistent.
        peak_memory_bytes: largest resident size of a process of its own.
        validity: ``VALID`` or ``INVALID``; ``reasons`` say why, with remedies.
    """

    key: str
    median_ms: float | None = None
    latency_ms: float | None = None
    low_ms: float | None = None
    high_ms: float | None = None
    mean_ms: float | None = None
    std_ms: float | None = None
    percentiles_ms: Mapping[float, float | None] = field(default_factory=lambda: dict.fromkeys(PERCENTILES))
    percentile_bounds_ms: Mapping[float, tuple[float, float]] = field(default_factory=dict)
    throughput_per_s: float | None = None
    timed_calls: int = 0
    rounds: int = 0
    outliers_mild: int = 0
    outliers_severe: int = 0
    import_ms: float | None = None
    load_ms: float | None = None
    first_load_ms: float | None = None
    compile_ms: float | None = None
    first_ms: float | None = None
    warm_calls: int | None = None
    cpu_ms: float | None = None
    threads: int | None = None
    threads_used: float | None = None
    device_ms: float | None = None
    copy_in_ms: float | None = None
    copy_out_ms: float | None = None
    joules_per_call: float | None = None
    course: str | None = None
    peak_memory_bytes: int | None = None
    validity: str = "VALID"
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: Mapping[str, str] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


def numbers(
    rounds: Mapping[int, Sequence[Slice]], units: Mapping[int, float], *, seed: int, objective: str = "median"
) -> tuple[dict[str, Any], list[str]]:
    """Fields of a summary that come from timed slices, and the notes they give rise to.

    Args:
        rounds: timed slices of one candidate by round.
        units: its unit by round, log nanoseconds.
        objective: statistic that the units are of.
    """
    per_round = [statistics.call_times(items) for _, items in sorted(rounds.items())]
    pooled = np.concatenate(per_round)
    slices = [item for items in rounds.values() for item in items]
    fenced = statistics.outliers(pooled)
    has_loops = any(item.inner > 1 for item in slices)
    latency = _latency(rounds, units, seed=seed, objective=objective).exp()
    median = statistics.quantile(pooled, 0.5)
    calls = sum(item.calls for item in slices)
    percentiles = {q: None if has_loops else statistics.percentile(per_round, q / 100) for q in PERCENTILES}
    cpu = [item.cpu / (item.calls + 1) for item in slices if item.cpu is not None]
    walls = [sum(item.ns) + (item.settle or 0) for item in slices if item.cpu is not None]
    used = sum(item.cpu for item in slices if item.cpu is not None) / sum(walls) if walls else None
    found = {
        "median_ms": median / _NS_PER_MS,
        "latency_ms": latency.mean / _NS_PER_MS,
        "low_ms": latency.low / _NS_PER_MS if latency.low > 0 else None,
        "high_ms": latency.high / _NS_PER_MS if math.isfinite(latency.high) else None,
        "mean_ms": float(pooled.mean()) / _NS_PER_MS,
        "std_ms": float(pooled.std(ddof=1)) / _NS_PER_MS if len(pooled) > 1 and not has_loops else None,
        "percentiles_ms": {q: None if found is None else found.mean / _NS_PER_MS for q, found in percentiles.items()},
        "percentile_bounds_ms": {
            q: (found.low / _NS_PER_MS, found.high / _NS_PER_MS) for q, found in percentiles.items() if found
        },
        "throughput_per_s": calls / (sum(sum(item.ns) for item in slices) / 1e9),
        "timed_calls": calls,
        "rounds": len(rounds),
        "outliers_mild": fenced.mild,
        "outliers_severe": fenced.severe,
        "threads_used": used,
        **_on_device(slices),
        "cpu_ms": float(np.mean(cpu)) / _NS_PER_MS if cpu else None,
    }
    notes = []
    if objective == "median" and abs(median / latency.mean - 1) > 0.05:
        notes.append("multimodal: the pooled median is more than 5 % off the latency")
    if has_loops:
        notes.append("inner-loops: calls too short to be timed one by one, so there are no percentiles")
        if objective.startswith("p"):
            notes.append(f"objective: the {objective} is that of the means of such loops")
    if any("disturbed" in item.flags for item in slices):
        notes.append("disturbed: the host throttled or lost CPU time during some passes, which were kept")
    return found, notes


def _on_device(slices: Sequence[Slice]) -> dict[str, float | None]:
    """Medians of the parts that events on the device saw."""

    def middle(part: str) -> float | None:
        times = [time for item in slices for time in item.device.get(part, ())]
        return float(np.median(times)) / _NS_PER_MS if times else None

    return {f"{part}_ms": middle(part) for part in ("device", "copy_in", "copy_out")}


def _latency(
    rounds: Mapping[int, Sequence[Slice]], units: Mapping[int, float], *, seed: int, objective: str
) -> Interval:
    if len(units) >= 2:
        return statistics.t_interval(list(units.values()), level=0.05)
    if objective != "median":
        [unit] = units.values()
        return Interval(mean=unit, low=-math.inf, high=math.inf, n=1)
    (items,) = rounds.values()
    return statistics.bootstrap_interval([statistics.slice_log(item) for item in items], level=0.05, seed=seed)
