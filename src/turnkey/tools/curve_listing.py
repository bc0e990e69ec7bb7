"""A curve over batch sizes, as a table of plain text and as plain data for the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from turnkey.pipeline.quantity import size_text
from turnkey.report.aligned import aligned
from turnkey.report.figure import NONE, interval, number

if TYPE_CHECKING:
    from turnkey.measure import Climb, Record, Rung

_HEADINGS = ("candidate", "batch", "latency ms [95 %]", "items/s", "more than before", "memory", "")


def curve_table(climbs: Sequence[Climb]) -> str:
    """One row per candidate and batch size; ``more than before`` is the throughput over that of the rung before."""
    rows: list[tuple[str, ...]] = [_HEADINGS]
    for climb in climbs:
        for rung, record in zip(climb.rungs, climb.records, strict=True):
            summary = record.summary(climb.key)
            verdict = record.verdict(climb.key)
            rows.append(
                (
                    climb.key,
                    str(rung.batch),
                    interval(summary.latency_ms, summary.low_ms, summary.high_ms),
                    number(rung.throughput),
                    _gain(rung),
                    NONE if rung.peak_bytes is None else size_text(rung.peak_bytes),
                    ", ".join(filter(None, ["" if verdict is None else str(verdict), _invalid(record, climb.key)])),
                )
            )
    return aligned(rows)


def curve_entry(climb: Climb) -> dict[str, Any]:
    """One candidate's curve as plain data; milliseconds, bytes, items per second."""
    best = climb.best
    return {
        "rungs": [
            _rung_entry(climb.key, rung, record) for rung, record in zip(climb.rungs, climb.records, strict=True)
        ],
        "best_batch_size": None if best is None else best.batch,
        "stop": None if climb.stop is None else str(climb.stop),
        "reason": climb.reason,
    }


def _rung_entry(key: str, rung: Rung, record: Record) -> dict[str, Any]:
    summary = record.summary(key)
    fields = {
        "batch_size": rung.batch,
        "latency_ms": summary.latency_ms,
        "latency_low_ms": summary.low_ms,
        "latency_high_ms": summary.high_ms,
        "items_per_second": rung.throughput,
        "gain": None if rung.gain is None else [rung.gain.low, rung.gain.mean, rung.gain.high],
        "peak_memory_bytes": rung.peak_bytes,
        "stable": rung.stable,
        "validity": summary.validity,
        "reasons": list(summary.reasons),
    }
    return {name: value for name, value in fields.items() if value is not None}


def _gain(rung: Rung) -> str:
    if rung.gain is None:
        return NONE
    return f"{interval(rung.gain.mean, rung.gain.low, rung.gain.high)}×"


def _invalid(record: Record, key: str) -> str:
    codes = dict.fromkeys(reason.code for reason in record.reasons if reason.applies_to(key))
    return f"INVALID ({', '.join(codes)})" if codes else ""
