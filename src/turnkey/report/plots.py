"""The plots of a report, each a function from plain values to the markup of one drawing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from turnkey.report.figure import interval, number
from turnkey.report.svg import Drawing, Scale, scale_of, series, wants_log

WIDTH = 380
_LINE_CHARACTERS = 56
"""Of a row's text: what stands beyond would be cut at the drawing's edge."""
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bar:
    """One value with its interval.

    Attributes:
        index: of the series, for its colour.
        low, high: None where there is no interval.
        doubtful: must not be used; drawn hollow.
    """

    label: str
    index: int
    center: float
    low: float | None = None
    high: float | None = None
    doubtful: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One series of points, x and y; ``marks`` are texts beside them, ``doubtful`` those of points to be hollow."""

    label: str
    index: int
    points: Points
    marks: Sequence[str] = ()
    doubtful: frozenset[str] = frozenset()


def interval_plot(bars: Sequence[Bar], *, title: str, label: str, center_line: float | None = None) -> str:
    """One row per value: its label, its interval, its centre. Lower rows are later ones."""
    row = 32
    bottom = 8 + row * len(bars)
    drawing = Drawing(WIDTH, bottom + 34, title=title)
    values = [value for bar in bars for value in (bar.center, bar.low, bar.high) if value is not None]
    values += [center_line] if center_line is not None else []
    is_log = wants_log(values)
    scale = scale_of(values, start=14, end=WIDTH - 14, is_log=is_log)
    drawing.x_axis(scale, y=bottom, top=6, label=label + (", log" if is_log else ""))
    if center_line is not None:
        drawing.line(scale.place(center_line), 6, scale.place(center_line), bottom, "mark")
    for position, bar in enumerate(bars):
        y = 22 + row * position + 4
        _whisker(drawing, bar, scale, y)
        drawing.text(14, y - 9, _named(bar.label, interval(bar.center, bar.low, bar.high)), "name")
    return drawing.markup()


def ranked_plot(bars: Sequence[Bar], *, title: str, label: str) -> str:
    """Many ratios, the smallest first, each with its interval: one glance over a corpus. 1 is marked."""
    ordered = sorted(bars, key=lambda bar: bar.center)
    height, left, bottom = 230, 42, 196
    drawing = Drawing(WIDTH, height, title=title)
    values = [value for bar in ordered for value in (bar.center, bar.low, bar.high) if value]
    scale = scale_of([*values, 1.0], start=bottom, end=22, is_log=wants_log(values))
    drawing.y_axis(scale, x=left, right=WIDTH - 8, label=label + (", log" if scale.is_log else ""))
    drawing.line(left, scale.place(1), WIDTH - 8, scale.place(1), "mark")
    step = (WIDTH - left - 16) / max(len(ordered), 1)
    for position, bar in enumerate(ordered):
        x = left + 4 + step * (position + 0.5)
        if bar.low and bar.high and len(ordered) <= 400:
            drawing.line(x, scale.place(bar.low), x, scale.place(bar.high), f"whisker {series(bar.index)}")
        kind = f"{'hollow' if bar.doubtful else 'fill'} {series(bar.index)}"
        radius = 3 if len(ordered) <= 60 else 1.6
        drawing.circle(x, scale.place(bar.center), kind, radius=radius, tip=_told(bar))
    drawing.text((left + WIDTH) / 2, bottom + 24, f"{len(ordered)} models, by ratio", anchor="middle")
    return drawing.markup()


def curve_plot(curves: Sequence[Curve], *, title: str, x_label: str, y_label: str, joined: bool = True) -> str:
    """Lines of several series over common axes, logarithmic where values are far apart; or dots over time."""
    left, right, top, bottom = 46, WIDTH - 10, 24, 196
    drawing = Drawing(WIDTH, 230, title=title)
    xs = [x for curve in curves for x, _ in curve.points]
    ys = [y for curve in curves for _, y in curve.points]
    x_scale = scale_of(xs, start=left, end=right, is_log=joined and wants_log(xs) and min(xs) > 0)
    y_scale = scale_of(ys, start=bottom, end=top, is_log=wants_log(ys) and min(ys) > 0)
    drawing.x_axis(x_scale, y=bottom, top=top, label=x_label + (", log" if x_scale.is_log else ""))
    drawing.y_axis(y_scale, x=left, right=right, label=y_label + (", log" if y_scale.is_log else ""))
    for curve in curves:
        placed = [(x_scale.place(x), y_scale.place(y)) for x, y in curve.points]
        if joined:
            drawing.path(placed, f"curve {series(curve.index)}")
        else:
            drawing.dots(placed, series(curve.index))
        for (x, y), mark in zip(placed, curve.marks, strict=False):
            kind = "hollow" if mark in curve.doubtful else "fill"
            drawing.circle(x, y, f"{kind} {series(curve.index)}", radius=2.5, tip=f"{curve.label} {mark}")
            drawing.text(x + 4, y - 4, mark, "tick")
    return drawing.markup()


def scatter_plot(bars: Sequence[tuple[Bar, float, bool]], *, title: str, x_label: str, y_label: str) -> str:
    """Latency (x, with its interval) against another cost (y); the last field marks what nothing beats."""
    left, right, top, bottom = 46, WIDTH - 10, 24, 196
    drawing = Drawing(WIDTH, 230, title=title)
    xs = [value for bar, _, _ in bars for value in (bar.center, bar.low, bar.high) if value is not None]
    ys = [y for _, y, _ in bars]
    x_scale = scale_of(xs, start=left, end=right, is_log=wants_log(xs))
    y_scale = scale_of(ys, start=bottom, end=top, is_log=wants_log(ys))
    drawing.x_axis(x_scale, y=bottom, top=top, label=x_label + (", log" if x_scale.is_log else ""))
    drawing.y_axis(y_scale, x=left, right=right, label=y_label + (", log" if y_scale.is_log else ""))
    for bar, y, is_best in bars:
        place = y_scale.place(y)
        if bar.low is not None and bar.high is not None:
            ends = x_scale.place(bar.low), x_scale.place(bar.high)
            drawing.line(ends[0], place, ends[1], place, f"whisker {series(bar.index)}")
        kind = f"{'fill' if is_best else 'hollow'} {series(bar.index)}"
        drawing.circle(x_scale.place(bar.center), place, kind, tip=f"{_told(bar)}, {number(y)}")
    return drawing.markup()


def stacked_plot(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], *, title: str, label: str) -> str:
    """One row per candidate, its parts one after another, at most four: import, load, compile, first call."""
    row = 32
    bottom = 8 + row * len(rows)
    drawing = Drawing(WIDTH, bottom + 34, title=title)
    totals = [math.fsum(value for _, value in parts) for _, parts in rows]
    scale = scale_of([0.0, *totals], start=14, end=WIDTH - 14, zero=True)
    drawing.x_axis(scale, y=bottom, top=6, label=label)
    for position, ((name, parts), total) in enumerate(zip(rows, totals, strict=True)):
        y, reached = 20 + row * position, 0.0
        drawing.text(14, y - 4, _named(name, number(total)), "name")
        for index, (part, value) in enumerate(parts):
            x = scale.place(reached)
            reached += value
            tip = f"{name}, {part}: {number(value)}"
            drawing.bar(x, y, scale.place(reached) - x, 12, f"part p{index}", tip=tip)
    return drawing.markup()


def share_plot(rows: Sequence[tuple[str, int, int]], *, title: str) -> str:
    """Pass rates: name, how many passed, of how many."""
    row = 30
    drawing = Drawing(WIDTH, 8 + row * len(rows), title=title)
    for position, (name, passed, of) in enumerate(rows):
        y = 16 + row * position
        drawing.text(4, y - 2, _named(name, f"{passed} of {of}"), "name")
        drawing.bar(4, y + 3, WIDTH - 8, 8, "track")
        drawing.bar(4, y + 3, (WIDTH - 8) * passed / of if of else 0, 8, "good", tip=f"{name}: {passed} of {of}")
    return drawing.markup()


def _whisker(drawing: Drawing, bar: Bar, scale: Scale, y: float) -> None:
    colour = series(bar.index)
    if bar.low is not None and bar.high is not None:
        low, high = scale.place(bar.low), scale.place(bar.high)
        drawing.line(low, y, high, y, f"whisker {colour}")
        for end in (low, high):
            drawing.line(end, y - 4, end, y + 4, f"whisker {colour}")
    kind = f"{'hollow' if bar.doubtful else 'fill'} {colour}"
    drawing.circle(scale.place(bar.center), y, kind, tip=_told(bar))


def _named(name: str, said: str) -> str:
    """A row's text: what is said stands in full, and as much of the name as the line has room for."""
    room = max(_LINE_CHARACTERS - len(said) - 2, 1)
    return f"{name if len(name) <= room else name[: room - 1] + '…'}: {said}"


def _told(bar: Bar) -> str:
    return f"{bar.label}: {interval(bar.center, bar.low, bar.high)}" + (" (INVALID)" if bar.doubtful else "")
