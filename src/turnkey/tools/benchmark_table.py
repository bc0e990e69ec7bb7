"""The result of a benchmark as a table of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkey.measure.verdict import with_doubt
from turnkey.pipeline.quantity import size_text
from turnkey.report.aligned import aligned
from turnkey.report.figure import NONE, interval, number

if TYPE_CHECKING:
    from turnkey.measure import CandidateSummary, Record

_HEADINGS = ("p50", "p90", "p99", "items/s", "memory", "size")
_START_HEADINGS = ("candidate", "import ms", "load", "compile", "first call", "calls to steady", "pays back after")
_RUN_HEADINGS = ("CPU ms per call", "threads used", "J per call")


def benchmark_table(record: Record, *, batch: int, size_bytes: dict[str, int]) -> str:
    """One row per candidate, aligned; what is unknown or rests on too few calls is a dash.

    Args:
        batch: items per call.
        size_bytes: stored size by candidate.
    """
    latency = record.settings.of_objective("latency ms [95 %]")
    headings = ("candidate", latency, *_HEADINGS, f"against {record.reference}" if len(record.measured) > 1 else "")
    rows: list[tuple[str, ...]] = [headings]
    for key in record.keys:
        summary = record.summary(key)
        if summary.latency_ms is None:
            what = summary.error["what"] if summary.error else "not measured"
            rows.append((key, f"failed: {what}"[:100], *("" for _ in headings[2:])))
            continue
        rows.append(
            (
                key,
                interval(summary.latency_ms, summary.low_ms, summary.high_ms),
                *(number(summary.percentiles_ms.get(q)) for q in (50, 90, 99)),
                NONE if summary.throughput_per_s is None else f"{summary.throughput_per_s * batch:,.4g}",
                NONE if summary.peak_memory_bytes is None else size_text(summary.peak_memory_bytes),
                size_text(size_bytes[key]) if size_bytes.get(key) else NONE,
                _against(record, key, summary),
            )
        )
    return aligned(rows, loose=frozenset(index for index, row in enumerate(rows) if index and not row[2]))


def details_table(record: Record) -> str:
    """What a candidate costs beside its latency: its start, when that is paid back, processor time, energy."""
    has_device = any(record.summary(key).device_ms is not None for key in record.measured)
    device = ("device ms",) if has_device else ()
    rows: list[tuple[str, ...]] = [(*_START_HEADINGS, *_RUN_HEADINGS, *device, "rests on")]
    for key in record.measured:
        summary = record.summary(key)
        rows.append(
            (
                key,
                *map(number, (summary.import_ms, summary.load_ms, summary.compile_ms, summary.first_ms)),
                NONE if summary.warm_calls is None else str(summary.warm_calls),
                _payback(record, key),
                number(summary.cpu_ms),
                _threads(summary),
                NONE if summary.joules_per_call is None else f"{summary.joules_per_call:.3g}",
                *([number(summary.device_ms)] if has_device else []),
                f"{summary.timed_calls} calls in {summary.rounds} process{'es' if summary.rounds > 1 else ''}",
            )
        )
    return aligned(rows)


def _payback(record: Record, key: str) -> str:
    """Calls after which a later start than the reference's is paid back."""
    if key == record.reference:
        return NONE
    calls = record.break_even_calls(key)
    return "never" if calls is None else f"{calls:,.0f} calls"


def _threads(summary: CandidateSummary) -> str:
    if summary.threads_used is None:
        return NONE if summary.threads is None else f"of {summary.threads}"
    return f"{summary.threads_used:.2g} of {summary.threads}"


def _against(record: Record, key: str, summary: CandidateSummary) -> str:
    verdict = record.verdict(key)
    return with_doubt(NONE if verdict is None else str(verdict), is_value_valid=summary.validity == "VALID")
