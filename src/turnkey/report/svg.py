"""Small drawings as inline SVG: scales, ticks, marks. Pure text, everything that comes from outside is escaped.

Colours are classes that the page's style sheet fills (``s0`` … ``s5`` for series, ``axis``, ``grid``, ``note``), so
that one drawing serves light, dark and print. A drawing is laid out about as wide as a phone and is shown no larger
than half again: its text stays legible on both.

Trade-off: a plotting library knows more kinds of plots; these are some hundred bytes each, which is what lets a
thousand of them stand in one file, and nothing has to be installed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape

SERIES = 6
"""Colours that the style sheet has; further series start again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """From values to places.

    Attributes:
        low, high: values at the ends; equal ones are moved apart.
        start, end: places of the ends, in units of the drawing.
        is_log: logarithmic; needs positive values.
    """

    low: float
    high: float
    start: float
    end: float
    is_log: bool = False

    def place(self, value: float) -> float:
        """Where a value stands; what lies beyond the ends stands at them."""
        low, high, value = (math.log(max(item, 1e-300)) if self.is_log else item for item in (*self._ends(), value))
        share = (value - low) / (high - low)
        return self.start + min(1.0, max(0.0, share)) * (self.end - self.start)

    def ticks(self, wanted: int = 5) -> tuple[float, ...]:
        """Round values between the ends."""
        low, high = self._ends()
        if self.is_log:
            found = _log_ticks(low, high)
            while len(found) > wanted + 1:
                found = found[::2]
            if len(found) >= 2:
                return found
        step = _round_step((high - low) / wanted)
        first = math.ceil(low / step - 1e-9)
        return tuple(index * step for index in range(first, int(high / step + 1e-9) + 1))

    def _ends(self) -> tuple[float, float]:
        if self.high > self.low:
            return self.low, self.high
        if self.is_log:
            return self.low / 1.1, self.low * 1.1
        room = abs(self.low) / 2 or 0.5
        return self.low - room, self.low + room


def scale_of(values: Iterable[float], *, start: float, end: float, is_log: bool = False, zero: bool = False) -> Scale:
    """A scale that shows all of these values, with a little room beside them."""
    listed = [value for value in values if math.isfinite(value) and (value > 0 or not is_log)]
    low, high = (min(listed), max(listed)) if listed else (1.0, 2.0)
    if is_log:
        return Scale(low=low / 1.08, high=high * 1.08, start=start, end=end, is_log=True)
    room = 0.04 * (high - low)
    return Scale(low=0.0 if zero else low - room, high=high + room, start=start, end=end)


def wants_log(values: Iterable[float]) -> bool:
    """Whether positive values are so far apart that a linear scale would hide the small ones."""
    positive = [value for value in values if value > 0]
    return bool(positive) and max(positive) > 12 * min(positive)


class Drawing:
    """Collects marks and gives the markup of one ``<svg>``."""

    def __init__(self, width: int, height: int, *, title: str) -> None:
        self.width, self.height = width, height
        self._title = title
        self._parts: list[str] = []

    def line(self, x1: float, y1: float, x2: float, y2: float, kind: str) -> None:
        self._parts.append(f'<path class="{kind}" d="M{_n(x1)} {_n(y1)}L{_n(x2)} {_n(y2)}"/>')

    def path(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        if points:
            placed = "L".join(f"{_n(x)} {_n(y)}" for x, y in points)
            self._parts.append(f'<path class="{kind}" d="M{placed}"/>')

    def dots(self, points: Iterable[tuple[float, float]], kind: str, *, radius: float = 1.6) -> None:
        """Many small dots in one path: an arc per dot would be four times the text."""
        placed = "".join(f"M{_n(x)} {_n(y)}h0" for x, y in points)
        if placed:
            self._parts.append(f'<path class="dot {kind}" stroke-width="{_n(2 * radius)}" d="{placed}"/>')

    def circle(self, x: float, y: float, kind: str, *, radius: float = 4, tip: str = "") -> None:
        said = f"<title>{escape(tip)}</title>" if tip else ""
        self._parts.append(f'<circle class="{kind}" cx="{_n(x)}" cy="{_n(y)}" r="{_n(radius)}">{said}</circle>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str, *, tip: str = "") -> None:
        said = f"<title>{escape(tip)}</title>" if tip else ""
        place = f'x="{_n(x)}" y="{_n(y)}" width="{_n(max(width, 0.5))}" height="{_n(height)}"'
        self._parts.append(f'<rect class="{kind}" {place}>{said}</rect>')

    def text(self, x: float, y: float, text: str, kind: str = "note", *, anchor: str = "start") -> None:
        self._parts.append(
            f'<text class="{kind}" x="{_n(x)}" y="{_n(y)}" text-anchor="{anchor}">{escape(text)}</text>'
        )

    def x_axis(self, scale: Scale, *, y: float, top: float, label: str) -> None:
        """Grid lines from ``top`` to ``y``, numbers below, the label under them."""
        for value in scale.ticks():
            x = scale.place(value)
            self.line(x, top, x, y, "grid")
            self.text(x, y + 12, tick_text(value), "tick", anchor="middle")
        self.text((scale.start + scale.end) / 2, y + 25, label, "note", anchor="middle")

    def y_axis(self, scale: Scale, *, x: float, right: float, label: str) -> None:
        """Grid lines from ``x`` to ``right``, numbers left of them, the label above."""
        for value in scale.ticks(4):
            y = scale.place(value)
            self.line(x, y, right, y, "grid")
            self.text(x - 4, y + 3.5, tick_text(value), "tick", anchor="end")
        self.text(4, min(scale.start, scale.end) - 8, label, "note")

    def markup(self) -> str:
        """The element, with its title for who cannot see it."""
        title = escape(self._title)
        return (
            f'<svg viewBox="0 0 {self.width} {self.height}" role="img" aria-label="{title}"><title>{title}</title>'
            + "".join(self._parts)
            + "</svg>"
        )


def series(index: int) -> str:
    """The class of a series' colour."""
    return f"s{index % SERIES}"


def tick_text(value: float) -> str:
    """``0.5``, ``20``, ``5k``, ``2M``."""
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= limit:
            return f"{value / limit:.4g}{unit}"
    return f"{value:.4g}"


def _log_ticks(low: float, high: float) -> tuple[float, ...]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    decades = tuple(10.0**power for power in range(first, last + 1))
    steps = (1, 2, 5) if last - first <= 3 else (1,)
    return tuple(value for decade in decades for step in steps if low <= (value := decade * step) <= high)


def _round_step(rough: float) -> float:
    power = 10.0 ** math.floor(math.log10(rough))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
