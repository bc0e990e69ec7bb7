"""Verdicts about pairs of candidates of one record, from its units and looks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

from turnkey.measure import statistics, verdict
from turnkey.measure.plan import Settings
from turnkey.measure.slices import Slice
from turnkey.measure.units import twin_differences
from turnkey.measure.verdict import Floor, Verdict


class PairVerdicts:
    """What the samples say about any two candidates, whatever spoils them.

    Args:
        run: the content of ``run.json``.
        settings: of the experiment.
        timed: slices by name and round.
        units: log nanoseconds by name and round.
        yardstick: that all others were paired with; None where all stood together.
    """

    def __init__(
        self,
        run: Mapping[str, Any],
        *,
        settings: Settings,
        timed: Mapping[str, Mapping[int, Sequence[Slice]]],
        units: Mapping[str, Mapping[int, float]],
        yardstick: str | None,
    ) -> None:
        self._looks, self._rounds = run["looks"], run["rounds"]
        self._candidates = len(run["variants"])
        self._settings = settings
        self._timed = timed
        self._units = units
        self._yardstick = yardstick

    @cached_property
    def twin(self) -> dict[int, float]:
        """Twin − original by round."""
        return twin_differences(self._units)

    @cached_property
    def is_single(self) -> bool:
        """Whether only one process of each stands behind the numbers; a yardstick has one beside each other."""
        counts = [len(rounds) for name, rounds in self._units.items() if name != self._yardstick]
        return max(counts, default=0) < 2

    @cached_property
    def left(self) -> dict[str, int]:
        """Index of the look at which a candidate left."""
        return {key: i for i, entry in reversed(list(enumerate(self._looks))) for key in entry["leaves"]}

    def of(self, key: str, other: str) -> Verdict | None:
        """How ``key`` compares to ``other``; None where nothing can be said."""
        own, others = self._units[key], self._units[other]
        if not (own.keys() & others.keys()) and self.is_single and not self._yardstick:
            return None
        if len(own) < 2 or len(others) < 2:
            return self._of_single(key, other)
        looks = self._looks
        index = min(self.left.get(key, len(looks) - 1), self.left.get(other, len(looks) - 1))
        k = self._last_k() if index >= len(looks) - 1 else looks[index]["k"]
        level = statistics.spending(k, self._settings.alpha, self._candidates - 1)
        found = verdict.difference(self._units, key, other, level=level, yardstick=self._yardstick)
        if found is None:
            return None
        floor = self.floor(looks[index]["last_round"] if index < len(looks) - 1 else None, k=k)
        return verdict.verdict_of(
            found, key=key, reference=other, level=level, floor=floor.size, settings=self._settings
        )

    def floor(self, last_round: int | None = None, *, k: int | None = None) -> Floor:
        """The difference that the host made of nothing, up to a round."""
        values = [d for r, d in sorted(self.twin.items()) if last_round is None or r <= last_round]
        return verdict.noise_floor(values, k=k or self._last_k(), delta=self._settings.delta)

    def _of_single(self, key: str, other: str) -> Verdict | None:
        """One process of each: over the passes that both had, else over those that each had with the yardstick.

        Passes have medians only: of another objective one process says nothing.
        """
        settings = self._settings
        if settings.objective != "median":
            return None
        both = self._pass_differences(key, other)
        if both:
            found = statistics.bootstrap_interval(both, level=settings.alpha, seed=settings.seed)
        else:
            own, others = (self._pass_differences(name, self._yardstick) for name in (key, other))
            if min(len(own), len(others)) < 2:
                return None
            found = statistics.welch_interval(own, others, level=settings.alpha)
        return verdict.judge_single(found, key=key, reference=other, settings=settings)

    def _pass_differences(self, key: str, other: str | None) -> list[float]:
        """Log slice medians of ``key`` minus those of ``other`` in the last round that both stood in, by pass."""
        common = sorted(self._units[key].keys() & self._units.get(other or "", {}).keys())
        if not common or other is None:
            return []
        first, second = (
            {item.p: statistics.slice_log(item) for item in self._timed[name][common[-1]]} for name in (key, other)
        )
        return [first[p] - second[p] for p in sorted(first.keys() & second.keys())]

    def _last_k(self) -> int:
        """Number of the last look; an unfinished record whose rounds went on after it pays for one more."""
        if not self._looks:
            return 1
        went_on = bool(self._rounds) and self._rounds[-1]["r"] > self._looks[-1]["last_round"]
        return int(self._looks[-1]["k"]) + went_on
