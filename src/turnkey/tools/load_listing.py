"""What a load shape found, as a table of plain text and as plain data for the state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from turnkey.report.aligned import aligned
from turnkey.report.figure import NONE, number

if TYPE_CHECKING:
    from turnkey.measure import LoadResult
    from turnkey.measure.load_result import Trial

_Column = tuple[str, Callable[["Trial"], str]]
_LATENCIES: tuple[_Column, ...] = (
    ("p50 ms", lambda trial: number(trial.p50_ms)),
    ("p99 ms", lambda trial: number(trial.p99_ms)),
)
_COLUMNS: dict[str, tuple[_Column, ...]] = {
    "concurrency": (
        ("clients", lambda trial: str(trial.clients)),
        *_LATENCIES,
        ("in flight", lambda trial: NONE if trial.in_flight is None else f"{trial.in_flight:.2f}"),
    ),
    "server": (
        ("asked/s", lambda trial: NONE if trial.rate_per_s is None else f"{trial.rate_per_s:,.4g}"),
        *_LATENCIES,
        ("bound", lambda trial: "kept" if trial.kept else "broken"),
        ("sent late", lambda trial: f"{trial.late_sends} of {trial.queries}"),
        ("process", lambda trial: f"{trial.round}{' confirms' if trial.confirms else ''}"),
    ),
    "offline": (("calls", lambda trial: str(trial.queries)), ("process", lambda trial: str(trial.round))),
}


def load_table(results: Sequence[LoadResult], *, batch: int) -> str:
    """One row per level, rate or repetition of each candidate; ``items/s`` is what was completed.

    Args:
        batch: items per call.
    """
    columns = _COLUMNS[results[0].shape.kind]
    rows = [("candidate", "items/s", *(heading for heading, _ in columns))]
    rows += [
        (result.key, f"{trial.throughput_per_s * batch:,.4g}", *(cell(trial) for _, cell in columns))
        for result in results
        for trial in result.trials
    ]
    return aligned(rows)


def load_entry(result: LoadResult, *, batch: int) -> dict[str, Any]:
    """One candidate's result as plain data."""
    shape = result.shape
    fields: dict[str, Any] = {
        "shape": shape.kind,
        "bound_ms": shape.bound_ms,
        "quantile": shape.quantile if shape.bound_ms is not None else None,
        "items_per_second": None if result.rate_per_s is None else result.rate_per_s * batch,
        "validity": result.validity,
        "reasons": [str(reason) for reason in result.reasons],
        "trials": [
            {
                "items_per_second": trial.throughput_per_s * batch,
                **{
                    name: value
                    for name in ("clients", "rate_per_s", "in_flight", "p50_ms", "p99_ms", "kept", "queries")
                    if (value := getattr(trial, name)) is not None
                },
            }
            for trial in result.trials
        ],
    }
    return {name: value for name, value in fields.items() if value is not None}
