"""Who runs beside whom: all together where they fit into memory, else in pairs, else one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnkey import host
from turnkey.measure.journal import Journal
from turnkey.measure.race import Race
from turnkey.measure.slices import TWIN_SUFFIX

MEMORY_SHARE = 0.8
"""Of the free memory, what candidates that are loaded together may take."""


class Layout:
    """The layout of one experiment; what is chosen stands in its journal.

    Args:
        journal: of the experiment.
        race: who is live, and whom the twin doubles.
    """

    def __init__(self, journal: Journal, race: Race) -> None:
        self._journal = journal
        self._race = race

    def choose(self) -> None:
        """The best that fits into memory, by what the calibrated processes needed; none where rounds were run."""
        run, live = self._journal.run, self._race.live
        needs = {entry["v"]: entry.get("peak_bytes") or 0 for entry in run["calibration"] if entry["v"] in live}
        if run["rounds"] or len(needs) < 2:
            return
        room = MEMORY_SHARE * host.available_memory_bytes()
        run["layout"] = choose_layout(needs, twin=self._race.twin_of, room=room)
        if run["layout"] == "pairs":
            run["yardstick"] = self._race.reference or min(needs, key=needs.__getitem__)

    def step_down(self) -> str:
        """Fewer processes at a time from now on; how, in words."""
        run = self._journal.run
        pairs = run["layout"] == "interleaved" and len(self._race.live) > 1
        run["layout"], how = ("pairs", "in pairs") if pairs else ("contiguous", "one at a time")
        run["yardstick"] = (self._race.reference or self._race.live[0]) if pairs else None
        return how

    def crews(self) -> list[list[str]]:
        """Names of the processes that stand in one round together, a crew for each round of a cycle."""
        run = self._journal.run
        return crews(run["layout"], self._race.live, yardstick=run["yardstick"], twin=self._race.twin_of)

    def crews_left(self, cycle: int) -> list[list[str]]:
        """Of a cycle, the crews that did not have their round before an interruption."""
        measured = _measured_in(cycle, self._journal.run["rounds"])
        return [crew for crew in self.crews() if not _is_done(crew, measured)]

    def cycles_done(self) -> int:
        """How many cycles are whole: one in which crews are missing goes on."""
        # A round without a pass did not fit into memory: its cycle was not done.
        last = max((entry["cycle"] for entry in self._journal.run["rounds"] if entry["passes"]), default=0)
        return last - 1 if last and self.crews_left(last) else last


def choose_layout(needs: Mapping[str, int], *, twin: str | None, room: float) -> str:
    """``interleaved``, ``pairs`` or ``contiguous`` for processes of these peak sizes (bytes) in this much memory."""
    if sum(needs.values()) + (needs.get(twin, 0) if twin else 0) <= room:
        return "interleaved"
    largest = sorted(needs.values())[-2:]
    return "pairs" if sum(largest) <= room else "contiguous"


def crews(layout: str, live: Sequence[str], *, yardstick: str | None, twin: str | None) -> list[list[str]]:
    """Names of the processes of each round of a cycle.

    Args:
        yardstick: that stands beside each other one, for pairs.
        twin: whom the twin doubles, where all stand together; None for no twin.
    """
    if layout == "contiguous":
        return [[key] for key in live]
    if layout == "pairs" and yardstick is not None:
        return [[yardstick, key] for key in live if key != yardstick]
    return [[*live, *([] if twin is None else [twin + TWIN_SUFFIX])]]


def _measured_in(cycle: int, rounds: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Who stood in a round of this cycle, as ``run.json`` tells."""
    done = [entry for entry in rounds if entry["cycle"] == cycle and entry["passes"]]
    return frozenset(process["v"] for entry in done for process in entry["processes"])


def _is_done(crew: Sequence[str], measured: frozenset[str]) -> bool:
    """Whether everybody of a crew was measured; the twin follows whoever leads, and does not count."""
    return {name for name in crew if not name.endswith(TWIN_SUFFIX)} <= measured
