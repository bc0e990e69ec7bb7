"""How far a call with many inputs is: counts by status, what is at work, and how long the rest may take.

The estimate is the time that has passed times what is left over what is done. It takes in by itself how many inputs
run at a time and how measurements hold each other up; inputs that had nothing to do are not counted as done work.
"""

from __future__ import annotations

from collections import Counter

from turnkey.pipeline.events import Event

MANY_INPUTS = 9
"""From so many inputs on a call is a corpus: one line per finished input, and this tally."""

_FEWEST = 3
"""Inputs that must have run before an estimate is worth a word."""


class Tally:
    """Counts events; times are those of the caller's clock, in seconds.

    Args:
        inputs: how many there are.
    """

    def __init__(self, *, inputs: int) -> None:
        self._inputs = inputs
        self._ended: Counter[str] = Counter()
        self._at_work: set[str] = set()
        self._waiting: set[str] = set()
        self._began: float | None = None
        self._tools = 0

    def apply(self, event: Event, *, now: float) -> None:
        """Take an event in."""
        key = event.build_name or event.input
        if event.kind == "input-started":
            self._at_work.add(key)
            self._tools = len(event.planned)
            self._began = now if self._began is None else self._began
        elif event.kind == "tool-waiting":
            self._waiting.add(key)
        elif event.kind == "tool-started":
            self._waiting.discard(key)
        elif event.kind == "input-finished":
            self._at_work.discard(key)
            self._waiting.discard(key)
            self._ended[event.status] += 1

    @property
    def shows_listings(self) -> bool:
        """Whether what tools list is worth the lines: of many inputs only where it is all that was asked for."""
        return self._inputs < MANY_INPUTS or self._tools == 1

    @property
    def finished(self) -> int:
        """Inputs that have ended, however."""
        return self._ended.total()

    def line(self, *, now: float) -> str:
        """``12 of 50 inputs: 10 successful, 2 error; 4 at work (1 waiting for a turn); about 3 min left``."""
        counts = ", ".join(f"{number} {status}" for status, number in self._ended.most_common())
        parts = [f"{self.finished} of {self._inputs} inputs" + (f": {counts}" if counts else "")]
        if self._at_work:
            waiting = f" ({len(self._waiting)} waiting for a turn)" if self._waiting else ""
            parts.append(f"{len(self._at_work)} at work{waiting}")
        left = self.seconds_left(now=now)
        if left is not None:
            parts.append(f"about {readable(left)} left")
        return "; ".join(parts)

    def seconds_left(self, *, now: float) -> float | None:
        """Estimate for what has not ended; None where nothing is known yet, or nothing is left."""
        worked = self.finished - self._ended["skipped"] - self._ended["not_started"]
        left = self._inputs - self.finished
        if self._began is None or worked < _FEWEST or left <= 0:
            return None
        return (now - self._began) * left / worked


def readable(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 05 min``."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    whole = round(seconds / 60)
    return f"{whole} min" if whole < 100 else f"{whole // 60} h {whole % 60:02d} min"
