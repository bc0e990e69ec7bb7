"""Trends of a history, as table and page: a series per model, candidate, processor, threads, objective; its steps."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.measure.trend import Step, steps
from turnkey.measure.verdict import ratio_text
from turnkey.report.figure import NONE, count, interval
from turnkey.report.history import HistoryRow
from turnkey.report.plots import WIDTH
from turnkey.report.rows import Table
from turnkey.report.svg import Drawing, scale_of, series, wants_log

_COLUMNS = ("model", "candidate", "runs", "first ms", "last ms", "steps", "on")
_FIGURES = frozenset({"runs", "first ms", "last ms"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """One series, the oldest row first."""

    rows: tuple[HistoryRow, ...]
    steps: tuple[Step, ...]

    @property
    def title(self) -> str:
        return f"{self.rows[0].model}, {self.rows[0].candidate}"

    @property
    def place(self) -> str:
        """Where it was measured, and of what where it is not of medians."""
        row = self.rows[0]
        threads = "" if row.threads is None else count(row.threads, "thread")
        return ", ".join(filter(None, [row.processor, threads, "" if row.objective == "median" else row.objective]))

    def step_text(self, step: Step) -> str:
        """``slower by 1.12× [1.08, 1.16] from 2026-11-20 (3f2c91ab)``."""
        row, ratio = self.rows[step.index], step.ratio
        label = f" ({row.label})" if row.label else ""
        if ratio.mean > 1:
            return f"slower by {ratio_text(ratio.mean, ratio.low, ratio.high)} from {row.utc[:16]}{label}"
        return f"faster by {ratio_text(1 / ratio.mean, 1 / ratio.high, 1 / ratio.low)} from {row.utc[:16]}{label}"


def trends(rows: Iterable[HistoryRow], *, models: Sequence[str] = ()) -> list[Trend]:
    """All series, by model and candidate.

    Args:
        models: only these; none means all.
    """
    groups: dict[Any, list[HistoryRow]] = {}
    for row in rows:
        if not models or row.model in models:
            groups.setdefault(row.series, []).append(row)
    found = []
    for _, mine in sorted(groups.items(), key=lambda item: tuple(map(str, item[0]))):
        found.append(Trend(rows=tuple(mine), steps=steps([row.latency_ms for row in mine])))
    return found


def trend_table(found: Iterable[Trend]) -> Table:
    """One row per series."""
    rows = [
        (
            trend.rows[0].model,
            trend.rows[0].candidate,
            str(len(trend.rows)),
            _latency(trend.rows[0]),
            _latency(trend.rows[-1]),
            "; ".join(map(trend.step_text, trend.steps)) or NONE,
            trend.place,
        )
        for trend in found
    ]
    return Table(columns=_COLUMNS, rows=tuple(rows), figures=_FIGURES)


def trend_json(found: Iterable[Trend]) -> list[dict[str, Any]]:
    """The same as plain data."""
    return [
        {
            "model": trend.rows[0].model,
            "candidate": trend.rows[0].candidate,
            "processor": trend.rows[0].processor,
            "threads": trend.rows[0].threads,
            "objective": trend.rows[0].objective,
            "points": [
                {
                    "utc": row.utc,
                    "label": row.label,
                    "latency_ms": row.latency_ms,
                    "low_ms": row.low_ms,
                    "high_ms": row.high_ms,
                    "validity": row.validity,
                }
                for row in trend.rows
            ],
            "steps": [
                {
                    "index": step.index,
                    "utc": trend.rows[step.index].utc,
                    "ratio": step.ratio.mean,
                    "low": step.ratio.low,
                    "high": step.ratio.high if math.isfinite(step.ratio.high) else None,
                }
                for step in trend.steps
            ],
        }
        for trend in found
    ]


def trend_page(found: Sequence[Trend], *, title: str) -> str:
    """One HTML file; a series is drawn from its second run on. Raises MissingDependencyError without Jinja2."""
    from turnkey.report.page import render

    return render(
        "history.html.j2",
        title=title,
        table=trend_table(found),
        trends=[
            {
                "trend": trend,
                "svg": trend_plot(trend),
                "steps": [trend.step_text(step) for step in trend.steps],
            }
            for trend in found
            if len(trend.rows) > 1
        ],
    )


def trend_plot(trend: Trend) -> str:
    """Latency with its interval, run by run; dashed lines are steps, hollow marks INVALID."""
    left, right, top, bottom = 46, WIDTH - 10, 24, 196
    drawing = Drawing(WIDTH, 230, title=f"Trend of {trend.title}")
    values = [value for row in trend.rows for value in (row.latency_ms, row.low_ms, row.high_ms) if value]
    scale = scale_of(values, start=bottom, end=top, is_log=wants_log(values))
    drawing.y_axis(scale, x=left, right=right, label="latency, ms" + (", log" if scale.is_log else ""))
    width = (right - left) / len(trend.rows)
    places = [left + width * (number + 0.5) for number in range(len(trend.rows))]
    for step in trend.steps:
        x = places[step.index] - width / 2
        drawing.line(x, top, x, bottom, "mark")
    for x, row in zip(places, trend.rows, strict=True):
        if row.low_ms and row.high_ms:
            drawing.line(x, scale.place(row.low_ms), x, scale.place(row.high_ms), f"whisker {series(0)}")
        kind = f"{'hollow' if row.validity == 'INVALID' else 'fill'} {series(0)}"
        tip = f"{row.utc} {row.label} {_latency(row)} ms {row.validity}"
        drawing.circle(x, scale.place(row.latency_ms), kind, radius=2.5, tip=tip)
    drawing.text(left, bottom + 14, trend.rows[0].utc[:10], "tick")
    drawing.text(right, bottom + 14, trend.rows[-1].utc[:10], "tick", anchor="end")
    drawing.text((left + right) / 2, bottom + 26, f"{count(len(trend.rows), 'run')}, oldest first", anchor="middle")
    return drawing.markup()


def _latency(row: HistoryRow) -> str:
    return interval(row.latency_ms, row.low_ms, row.high_ms)
