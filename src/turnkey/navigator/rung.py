"""A rung from the record of its batch size: the documented numbers, the engine's interval, and who ties."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.measure import Record, statistics
from turnkey.measure.verdict import Kind
from turnkey.measure.windows import timed_calls
from turnkey.navigator.status import Rung

_NS_PER_MS = 1e6


def rung_of(key: str, record: Record, *, batch: int | None, relative_to: Path) -> Rung:
    """The rung that a record shows for one contestant; numbers are those of the last windows that agreed."""
    summary, stability = record.summary(key), record.windows(key)
    times = timed_calls(record.timed[key])
    end = stability.stable_at or stability.trials
    first = max(0, end - stability.window_count)
    start = stability.ends[first - 1] if first else 0
    pooled = times[start : stability.ends[end - 1]] if end else times
    numbers = pooled_numbers(pooled, batch=batch)
    return Rung(
        batch_size=batch,
        **numbers,
        stable=stability.stable,
        stability_windows=stability.window_count,
        ci_center=summary.latency_ms,
        ci_low=summary.low_ms,
        ci_high=summary.high_ms,
        record="" if record.path is None else record.path.relative_to(relative_to).as_posix(),
        validity=summary.validity,
        reasons=summary.reasons,
        ties=_ties(key, record),
        means_ms=stability.means_ms,
        threads=summary.threads,
        peak_memory_bytes=summary.peak_memory_bytes,
        load_ms=summary.load_ms,
        first_call_ms=summary.first_ms,
    )


def pooled_numbers(times_ns: Any, *, batch: int | None) -> dict[str, Any]:
    """The documented numbers of a batch size from all its calls: population deviation, linear percentiles.

    Args:
        times_ns: nanoseconds of each call.
    """
    times = np.asarray(times_ns, dtype=np.float64) / _NS_PER_MS
    average = float(times.mean())
    return {
        "avg_latency": average,
        "std_latency": math.sqrt(statistics.population_variance(times)),
        **{f"p{q}_latency": statistics.linear_quantile(times, q / 100) for q in (50, 90, 95, 99)},
        "throughput": 1000 * max(1, batch or 1) / average,
        "request_count": len(times),
    }


def _ties(key: str, record: Record) -> tuple[str, ...]:
    """Others that this experiment does not prove to be slower than this one."""
    tied = []
    for other in record.measured:
        if other == key:
            continue
        verdict = record.verdict(key, against=other)
        if verdict is None or verdict.is_tie or verdict.kind is not Kind.FASTER:
            tied.append(other)
    return tuple(tied)
