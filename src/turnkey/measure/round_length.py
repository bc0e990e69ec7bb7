"""How long a round is: how many passes it gets, of which slices, and what may end or prolong it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import takewhile
from typing import Any

from turnkey.measure import schedule, windows
from turnkey.measure.allocation import RoundSpread, best_passes, round_spread
from turnkey.measure.budget import Budget
from turnkey.measure.journal import Journal
from turnkey.measure.plan import Settings
from turnkey.measure.round import Bounds
from turnkey.measure.slices import timed_slices

_STEPS = ("import_ns", "load_ns", "compile_ns", "first_ns", "warm_ns")


class RoundLength:
    """Decides it from the durations of calls, and from what the rounds so far showed.

    Args:
        journal: of the experiment, read as it grows.
        budget: of the experiment.
    """

    def __init__(self, journal: Journal, *, budget: Budget) -> None:
        self._journal = journal
        self._budget = budget
        self._calls: dict[str, float] = {}
        self._spreads: list[RoundSpread] = []
        self._read_slices = 0

    def note_call(self, key: str, call_ns: float) -> None:
        """A call of this candidate takes so long, by the calibration."""
        self._calls[key] = call_ns

    def bounds(
        self, calls: Mapping[str, float], *, cycle: int, last: int, settings: Settings, live: Callable[[], list[str]]
    ) -> Bounds:
        """Of one round.

        Args:
            calls: duration by name, nanoseconds, as its processes just showed; what was known before counts.
            cycle, last: which round this is of how many at most.
            live: the candidates that are still measured, asked while the round runs.
        """
        for key, call in calls.items():
            self._calls.setdefault(key, call)
        known = {key: self._calls[key] for key in calls}
        sizes = {key: schedule.slice_size(call) for key, call in known.items()}
        slowest = max(known.values())
        count = settings.calls_for(slowest)
        if count is not None:
            plan = schedule.fixed_slices(count, rounds=last, size=schedule.slice_size(slowest))
            exact = plan[cycle - 1]
            return Bounds(sizes=sizes, passes=len(exact), exact=exact)
        tail = settings.objective in ("p90", "p99")
        passes = max(map(settings.passes_for, known.values())) if tail else settings.passes_for(slowest)
        if not tail and settings.passes is None:
            passes = self._best_passes(passes, schedule.most_passes(slowest))
        # A round that may be the last goes on until the window rule has its answer.
        is_prolonged = settings.windows is not None and cycle >= settings.fewest_rounds
        wants_more = (lambda: self._is_unstable(settings, live())) if is_prolonged else None
        # Of fewer calls than a percentile needs, it would be the slowest of them: such a round is never cut short.
        return Bounds(sizes=sizes, passes=passes, budget=None if tail else self._budget, wants_more=wants_more)

    def _best_passes(self, fewest: int, most: int) -> int:
        """As many as the rounds so far say are worth more than another start."""
        entries = [entry for entry in self._journal.run["rounds"] if entry["passes"]]
        if not entries:
            return fewest
        self._read_finished(entries)
        starts = [process.get(step) or 0 for entry in entries for process in entry["processes"] for step in _STEPS]
        best = best_passes(self._spreads, start_ns=sum(starts) / len(entries), fewest=fewest, most=most)
        crew = len({process["v"] for process in entries[-1]["processes"]})
        return math.ceil(best / crew) * crew if best > fewest else best  # every position equally often

    def _read_finished(self, entries: Sequence[Mapping[str, Any]]) -> None:
        """Take in the finished rounds that came since the last time; the journal holds slices in their order."""
        last = entries[-1]["r"]
        slices = list(takewhile(lambda item: item.r <= last, self._journal.slices[self._read_slices :]))
        self._read_slices += len(slices)
        timed = timed_slices(slices)
        for entry in entries[len(self._spreads) :]:
            r = entry["r"]
            self._spreads.append(round_spread({name: timed[name][r] for name in sorted(timed) if r in timed[name]}))

    def _is_unstable(self, settings: Settings, live: list[str]) -> bool:
        """Whether the window rule wants more calls of some variant that is being measured."""
        rule = settings.windows
        if rule is None:
            return False
        timed = timed_slices(self._journal.slices)
        present = [key for key in live if key in timed]
        return not all(windows.is_exhausted(windows.of_rounds(timed[key], rule), rule) for key in present)
