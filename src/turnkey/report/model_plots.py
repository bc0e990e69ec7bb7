"""The plots of one model: latency, costs against each other, curves over load, cold start, and its single calls."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.measure import LoadResult, Record
from turnkey.report.candidate_row import CandidateRow
from turnkey.report.plots import Curve, curve_plot, interval_plot, scatter_plot, stacked_plot
from turnkey.report.recorded import Recorded, slice_points, warm_up_points

_CALLS = tuple(10.0**power for power in range(7))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plot:
    """A drawing with what it shows; ``svg`` is markup that `turnkey.report.svg` made."""

    title: str
    svg: str
    note: str = ""


def model_plots(rows: Sequence[CandidateRow], recorded: Recorded, *, with_samples: bool) -> Iterable[Plot]:
    """All plots that its candidates and records give.

    Args:
        with_samples: warm-up and timed calls too; needs records that were read with their samples.
    """
    bars = [bar for row in rows if (bar := row.bar()) is not None]
    if bars:
        svg = interval_plot(bars, title="Latency of each candidate with its interval", label="latency, ms")
        yield Plot(title="Latency", svg=svg, note="Bars are 95 % intervals; hollow marks are INVALID.")
    yield from _costs(rows)
    yield from _curves(rows, recorded.loads)
    yield from _starts(rows)
    for record in recorded.records.values() if with_samples else ():
        yield from _samples(record, rows)


def _costs(rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    """Latency against memory, size and error, where more than one candidate has them."""
    costs: tuple[tuple[str, Callable[[CandidateRow], float | None], float], ...] = (
        ("peak memory, MiB", lambda row: row.figure("peak_memory_bytes"), 1 / 2**20),
        ("size, MiB", lambda row: row.figure("size_bytes"), 1 / 2**20),
        ("relative error", lambda row: row.relative_l2, 1.0),
    )
    for label, cost, unit in costs:
        marks = [
            (bar, value * unit, row.is_unbeaten)
            for row in rows
            if (bar := row.bar()) is not None and (value := cost(row))
        ]
        if len(marks) > 1:
            title = f"Latency against {label.partition(',')[0]}"
            svg = scatter_plot(marks, title=title, x_label="latency, ms", y_label=label)
            note = "Filled marks: nothing is as good in latency, memory, size and error and better in one."
            yield Plot(title=title, svg=svg, note=note)


def _curves(rows: Sequence[CandidateRow], loads: Sequence[LoadResult]) -> Iterable[Plot]:
    """Latency over throughput, with the batch size or the number of clients at each point."""
    climbed = [row for row in rows if len(row.rungs) > 1]
    if climbed:
        curves = [
            Curve(
                label=row.key,
                index=row.index,
                points=[(rung.items_per_second, rung.latency_ms) for rung in row.rungs],
                marks=[str(rung.batch_size) for rung in row.rungs],
                doubtful=frozenset(str(rung.batch_size) for rung in row.rungs if not rung.is_valid),
            )
            for row in climbed
        ]
        yield _throughput_plot(
            curves, "Latency and throughput over batch sizes", "Numbers are batch sizes, hollow marks INVALID."
        )
    closed = [load for load in loads if load.shape.kind == "concurrency"]
    if closed:
        curves = [
            Curve(
                label=load.key,
                index=index,
                points=[(trial.throughput_per_s, _residence_ms(trial)) for trial in load.trials],
                marks=[str(trial.clients) for trial in load.trials],
            )
            for index, load in enumerate(closed)
        ]
        yield _throughput_plot(curves, "Latency and throughput over clients", "Numbers are concurrent clients.")


def _throughput_plot(curves: Sequence[Curve], title: str, note: str) -> Plot:
    svg = curve_plot(curves, title=title, x_label="items per second", y_label="latency, ms")
    return Plot(title=title, svg=svg, note=f"{note} {', '.join(curve.label for curve in curves)}.")


def _residence_ms(trial: Any) -> float:
    """Median latency of a closed loop, else its mean by Little's law."""
    if trial.p50_ms is not None:
        return float(trial.p50_ms)
    return 1000 * float(trial.in_flight or trial.clients or 1) / max(float(trial.throughput_per_s), 1e-9)


def _starts(rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    started = [(row.key, row.cold_start) for row in rows if row.cold_start]
    if not started:
        return
    svg = stacked_plot(started, title="Cold start of each candidate", label="milliseconds to the first answer")
    yield Plot(title="Cold start", svg=svg, note="Import, load, compile, first call, one after another, ever darker.")
    timed = [row for row in rows if row.cold_start and row.latency_ms]
    if len(timed) > 1:
        curves = [
            Curve(
                label=row.key,
                index=row.index,
                points=[
                    (calls, (math.fsum(value for _, value in row.cold_start) + calls * (row.latency_ms or 0)) / 1e3)
                    for calls in _CALLS
                ],
            )
            for row in timed
        ]
        svg = curve_plot(curves, title="Total time over calls", x_label="calls", y_label="seconds with start")
        yield Plot(title="Break-even", svg=svg, note=_break_even(timed))


def _break_even(rows: Sequence[CandidateRow]) -> str:
    said = []
    for row in rows:
        calls = row.figure("break_even_calls")
        if calls is not None and row.ratio is not None:
            when = "from the first call" if calls == 0 else f"after {calls:,.0f} calls"
            said.append(f"{row.key} pays back its start {when}")
    return ("; ".join(said) + ".") if said else "Where lines cross, the later start is paid back."


def _samples(record: Record, rows: Sequence[CandidateRow]) -> Iterable[Plot]:
    shown = [row for row in rows if row.key in record.keys]
    timed = [Curve(label=row.key, index=row.index, points=slice_points(record, row.key)) for row in shown]
    timed = [curve for curve in timed if curve.points]
    if timed:
        svg = curve_plot(
            timed, title="Timed slices in time order", x_label="seconds", y_label="ms per call", joined=False
        )
        note = f"Each dot is the median of one slice; {', '.join(curve.label for curve in timed)} take turns."
        yield Plot(title="Timed calls", svg=svg, note=note)
    warm = [Curve(label=row.key, index=row.index, points=warm_up_points(record, row.key)) for row in shown]
    warm = [curve for curve in warm if curve.points]
    if warm:
        svg = curve_plot(warm, title="Warm-up calls", x_label="number of the call", y_label="ms per call")
        steady = [f"{row.key} {row.entry['calls_to_steady']}" for row in shown if row.entry.get("calls_to_steady")]
        note = f"Calls to steady: {', '.join(steady)}." if steady else "The first calls of one process each."
        yield Plot(title="Warm-up", svg=svg, note=note)
