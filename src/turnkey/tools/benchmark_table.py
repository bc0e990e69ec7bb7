"""The result of a benchmark as a table of plain text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkey.pipeline.quantity import size_text

if TYPE_CHECKING:
    from turnkey.measure import CandidateSummary, Record

_NONE = "–"
_HEADINGS = ("candidate", "latency ms [95 %]", "p50", "p90", "p99", "items/s", "memory", "size")


def benchmark_table(record: Record, *, batch: int, size_bytes: dict[str, int]) -> str:
    """One row per candidate, aligned; what is unknown or rests on too few calls is a dash.

    Args:
        batch: items per call.
        size_bytes: stored size by candidate.
    """
    headings = (*_HEADINGS, f"against {record.reference}" if len(record.measured) > 1 else "")
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
                _latency(summary),
                *(_milliseconds(summary.percentiles_ms.get(q)) for q in (50, 90, 99)),
                _NONE if summary.throughput_per_s is None else f"{summary.throughput_per_s * batch:,.4g}",
                _NONE if summary.peak_memory_bytes is None else size_text(summary.peak_memory_bytes),
                size_text(size_bytes[key]) if size_bytes.get(key) else _NONE,
                _against(record, key, summary),
            )
        )
    counted = [row for row in rows if row[2] or row is rows[0]]  # a failure's reason must not widen the columns
    widths = [max(len(row[column]) for row in counted) for column in range(len(headings))]
    widths[0] = max(len(row[0]) for row in rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _latency(summary: CandidateSummary) -> str:
    bounds = ""
    if summary.low_ms is not None and summary.high_ms is not None:
        bounds = f" [{_milliseconds(summary.low_ms)}, {_milliseconds(summary.high_ms)}]"
    return _milliseconds(summary.latency_ms) + bounds


def _milliseconds(value: float | None) -> str:
    if value is None:
        return _NONE
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"


def _against(record: Record, key: str, summary: CandidateSummary) -> str:
    verdict = record.verdict(key)
    words = _NONE if verdict is None else str(verdict)
    # A verdict that is spoilt says so itself; a value can be spoilt where the verdict stands.
    return words if summary.validity == "VALID" or words.endswith("INVALID") else f"{words} (value INVALID)"
