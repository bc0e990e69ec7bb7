"""The race: who is still measured, and what the rounds so far decide.

At a look whoever is slower beyond doubt leaves, so that the budget goes to those in doubt.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnkey.measure import statistics
from turnkey.measure.plan import Settings
from turnkey.measure.slices import TWIN_SUFFIX, Slice, timed_slices
from turnkey.measure.statistics import Interval
from turnkey.measure.units import twin_differences, units_of
from turnkey.measure.verdict import Floor, Kind, Units, decide, difference, exceeds, fastest, noise_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One look at all pairs after ``rounds`` rounds.

    Attributes:
        k: number of the look, from 1.
        best: fastest live variant.
        leaves: variants that are slower than the best beyond doubt.
        pending: pairs (key, other) still in doubt, both families.
        pairs: interval of u[key] − u[other] for every pair looked at.
    """

    k: int
    rounds: int
    level: float
    best: str
    floor: Floor
    leaves: tuple[str, ...] = ()
    pending: tuple[tuple[str, str], ...] = ()
    pairs: Mapping[tuple[str, str], Interval] = field(default_factory=dict)

    def to_json(self, *, cycle: int, last_round: int) -> dict[str, Any]:
        """An entry of ``looks`` in ``run.json``."""
        return {
            "k": self.k,
            "n": cycle,
            "last_round": last_round,
            "level": self.level,
            "best": self.best,
            "floor": self.floor.size,
            "leaves": list(self.leaves),
            "pending": [list(pair) for pair in self.pending],
            "intervals": [
                {"key": a, "against": b, "mean": i.mean, "low": i.low, "high": i.high}
                for (a, b), i in self.pairs.items()
            ],
        }


class Race:
    """Who is live, by what is known of the rounds so far.

    Args:
        keys: of all candidates, in the order in which they were given.
        reference: the named baseline; None if there is none.

    Attributes:
        live: who is still measured, in that order.
    """

    def __init__(self, keys: Sequence[str], *, reference: str | None, settings: Settings) -> None:
        self.live = list(keys)
        self._variants = len(keys)
        self._named = reference
        self._settings = settings
        self._units: dict[str, dict[int, float]] = {}
        self._wrong: set[str] = set()

    @property
    def reference(self) -> str | None:
        """The named baseline while it is live."""
        return self._named if self._named in self.live else None

    @property
    def twin_of(self) -> str | None:
        """Whom the twin doubles: the reference, or once that has left, the leader; None without a twin."""
        if not self._settings.has_twin or not self.live:
            return None
        timed = [key for key in self.live if self._units.get(key)]
        return self.reference or (fastest(self._units, timed) if timed else self.live[0])

    def note_slices(self, slices: Sequence[Slice]) -> None:
        """Take in the slices of whole rounds."""
        for name, rounds in units_of(timed_slices(slices), objective=self._settings.objective).items():
            self._units.setdefault(name, {}).update(rounds)

    def note_outputs(self, processes: Sequence[Mapping[str, Any]]) -> None:
        """Whose outputs are wrong does not race: it cannot lead, and leaves at the next look."""
        self._wrong |= {entry["v"].removesuffix(TWIN_SUFFIX) for entry in processes if entry.get("wrong")}

    def leave(self, keys: Collection[str]) -> None:
        self.live = [key for key in self.live if key not in keys]

    def look(self, k: int, *, yardstick: str | None) -> Look | None:
        """Look at all pairs, and let leave who need not be measured any more; None where there is nothing to see."""
        racing = [key for key in self.live if len(self._units.get(key, {})) >= 2 and key not in self._wrong]
        if not racing:
            return None
        found = look(
            self._units,
            live=racing,
            variants=self._variants,
            reference=self._named,
            twin=[d for _, d in sorted(twin_differences(self._units).items())],
            k=k,
            settings=self._settings,
            yardstick=yardstick,
        )
        found = replace(found, leaves=(*(key for key in self.live if key in self._wrong), *found.leaves))
        self.leave(found.leaves)
        return found


def look(
    units: Units,
    *,
    live: Sequence[str],
    variants: int,
    reference: str | None,
    twin: Sequence[float],
    k: int,
    settings: Settings,
    yardstick: str | None = None,
) -> Look:
    """Decide who leaves and what is still in doubt.

    Args:
        units: of the live variants and the reference.
        live: variants still racing; the reference is among them until its pairs are decided.
        variants: how many started: the number of pairs that may be decided is fixed by it.
        reference: the named baseline, a second family of pairs; None if there is none.
        twin: differences twin − original, one per round.
        k: number of this look, from 1.
        yardstick: the variant that all others were paired with, where not all ran together.
    """
    level = statistics.spending(k, settings.alpha, variants - 1)
    floor = noise_floor(twin, k=k, delta=settings.delta)
    rounds = max(len(units[v]) for v in live)
    best = fastest(units, live, yardstick=yardstick)
    pairs: dict[tuple[str, str], Interval] = {}
    if len(live) == 1 and variants == 1:
        own = statistics.t_interval(list(units[best].values()), level=level)
        pending = () if own.half_width <= math.log1p(settings.precision) else ((best, best),)
        pairs[best, best] = own
        return Look(k=k, rounds=rounds, level=level, best=best, floor=floor, pending=pending, pairs=pairs)
    doubts: list[tuple[str, str]] = []
    slower: list[str] = []
    owed: set[str] = set()
    named = reference if reference in live else None
    is_gate = settings.limit is not None and named is not None
    families = [(v, best) for v in live if v != best and not (is_gate and best != named)]
    if named is not None and named != best:
        # With the best, unless this is a gate, it stands in the first family already: its verdict only mirrored.
        families += [(v, named) for v in live if v != named and (is_gate or v != best)]
    for v, other in families:
        interval = difference(units, v, other, level=level, yardstick=yardstick)
        if interval is None:
            doubts.append((v, other))
            continue
        pairs[v, other] = interval
        if is_gate:
            if exceeds(interval, limit=settings.limit or 0.0, floor=floor.size) is None:
                doubts.append((v, other))
            continue
        kind = decide(interval, floor=floor.size, delta=settings.delta)
        if other == best and kind is Kind.SLOWER:
            slower.append(v)
        elif kind is Kind.UNDECIDED or (other == best and kind is Kind.FASTER):
            doubts.append((v, other))
            if other == named:
                owed |= {v, other}  # neither leaves before their own pair is decided
    leaves = tuple(v for v in slower if v not in owed)
    return Look(
        k=k, rounds=rounds, level=level, best=best, floor=floor, leaves=leaves, pending=tuple(doubts), pairs=pairs
    )
