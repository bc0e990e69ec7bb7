"""The figures of one candidate of a record as its entry in a state has them, read of a record alone too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.report.figure import interval

if TYPE_CHECKING:
    from turnkey.measure import Record


def figures_of(record: Record, key: str, *, batch: int = 1) -> dict[str, Any]:
    """Milliseconds, bytes, items per second; None where something was not measured or rests on too few calls.

    Args:
        batch: items per call.
    """
    summary = record.summary(key)
    per_second = summary.throughput_per_s
    return {
        "runtime_version": summary.facts.get("runtime_version"),
        "threads": summary.threads,
        "objective": record.settings.objective,
        "latency_ms": summary.latency_ms,
        "latency_low_ms": summary.low_ms,
        "latency_high_ms": summary.high_ms,
        "mean_ms": summary.mean_ms,
        "std_ms": summary.std_ms,
        "median_ms": summary.median_ms,
        **{f"p{q}_ms": summary.percentiles_ms.get(q) for q in (50, 90, 95, 99)},
        "throughput_items_per_second": None if per_second is None else per_second * batch,
        "timed_calls": summary.timed_calls,
        "rounds": summary.rounds,
        "import_ms": summary.import_ms,
        "load_ms": summary.load_ms,
        "compile_ms": summary.compile_ms,
        "first_call_ms": summary.first_ms,
        "first_load_ms": summary.first_load_ms,
        "calls_to_steady": summary.warm_calls,
        "course": summary.course,
        "break_even_calls": None if record.verdict(key) is None else record.break_even_calls(key),
        "cpu_ms": summary.cpu_ms,
        "threads_used": summary.threads_used,
        "joules_per_call": summary.joules_per_call,
        "device_ms": summary.device_ms,
        "copy_in_ms": summary.copy_in_ms,
        "copy_out_ms": summary.copy_out_ms,
        "peak_memory_bytes": summary.peak_memory_bytes,
        "validity": summary.validity,
        "reasons": list(summary.reasons),
        "notes": list(summary.notes),
    }


def latency_text(entry: Mapping[str, Any]) -> str:
    """``5.38 [4.54, 6.4]``, and of what it is where it is not of medians: ``9.81 [9.02, 10.7] p99``."""
    text = interval(*(entry.get(name) for name in ("latency_ms", "latency_low_ms", "latency_high_ms")))
    objective = objective_of(entry)
    return text if entry.get("latency_ms") is None or objective == "median" else f"{text} {objective}"


def objective_of(entry: Mapping[str, Any]) -> str:
    """The statistic of a round's calls that its latency is of."""
    return str(entry.get("objective") or "median")
