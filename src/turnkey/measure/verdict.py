"""The verdict about a pair, from the interval of their difference. Pure.

Trade-offs: estimates that stopped early lean away from 1; the interval printed is that of the look that ended it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from turnkey.measure import statistics
from turnkey.measure.plan import QUICK_MARGIN, Settings
from turnkey.measure.statistics import Interval

Units = Mapping[str, Mapping[int, float]]
"""Log nanoseconds by variant and round."""
_TWIN_ALPHA = 0.01


class Kind(StrEnum):
    FASTER = "FASTER"
    SLOWER = "SLOWER"
    SAME = "SAME"
    UNDECIDED = "UNDECIDED"


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """About a pair: how ``key`` compares to ``reference``.

    Attributes:
        ratio, low, high: time(reference) / time(key) with its interval; above 1 the key is faster.
        rounds: what the interval rests on; 1 for a single process.
        level: two-sided error of the interval.
        negligible: FASTER or SLOWER, yet wholly inside ±delta: a tie for selection.
        is_valid: False if a reason of validity spoils it; the reasons are in ``notes``.
        notes: ``within-noise``, ``negligible``, ``single-process``, what UNDECIDED lacks …
    """

    key: str
    reference: str
    kind: Kind
    ratio: float
    low: float
    high: float
    rounds: int
    level: float
    negligible: bool = False
    is_valid: bool = True
    notes: tuple[str, ...] = ()

    @property
    def is_tie(self) -> bool:
        return self.kind is Kind.SAME or self.negligible

    def to_json(self) -> dict[str, Any]:
        """An entry of ``verdicts`` in ``run.json``."""
        return {
            "key": self.key,
            "reference": self.reference,
            "kind": str(self.kind),
            "ratio": self.ratio,
            "low": self.low,
            "high": self.high if math.isfinite(self.high) else None,
            "rounds": self.rounds,
            "level": self.level,
            "negligible": self.negligible,
            "valid": self.is_valid,
            "notes": list(self.notes),
        }

    def __str__(self) -> str:
        return f"{self.kind} {ratio_text(self.ratio, self.low, self.high)}" + ("" if self.is_valid else " INVALID")


@dataclass(frozen=True, slots=True, kw_only=True)
class Floor:
    """What this host makes of nothing: the twin against its original.

    Attributes:
        size: absolute mean of twin − original, log; 0 without a twin.
        interval: of twin − original at alpha 1 %, same spending; None with under two rounds.
        is_biased: the interval excludes 0 and the floor exceeds delta.
    """

    size: float = 0.0
    interval: Interval | None = None
    is_biased: bool = False


def ratio_text(ratio: float, low: float, high: float) -> str:
    """``1.23× [1.19, 1.27]``: no finer than the interval, and without one where there is none."""
    if not math.isfinite(high) or low <= 0:
        return f"{ratio:.2g}× [no interval]"
    decimals = 2 if high - low >= 0.02 else 3
    return f"{ratio:.{decimals}f}× [{low:.{decimals}f}, {high:.{decimals}f}]"


def difference(units: Units, a: str, b: str, *, level: float, yardstick: str | None = None) -> Interval | None:
    """Interval of u[a] − u[b]; None where too few rounds exist.

    Paired by round where they stood in the same rounds. Else by Welch's t: on their differences to the
    ``yardstick`` that each was paired with, or, without one, on the bare units (never interleaved: invalid).
    """
    if len(units[a].keys() & units[b].keys()) >= 2:
        return statistics.paired_interval(units[a], units[b], level=level)
    first, second = units[a], units[b]
    if yardstick is not None:
        base = units[yardstick]
        first, second = ({r: u - base[r] for r, u in side.items() if r in base} for side in (first, second))
    if len(first) < 2 or len(second) < 2:
        return None
    return statistics.welch_interval(list(first.values()), list(second.values()), level=level)


def decide(difference: Interval, *, floor: float, delta: float) -> Kind:
    """What u[key] − u[other] says: the first of SLOWER, FASTER, SAME that holds, else UNDECIDED."""
    margin = math.log1p(delta)
    if difference.low > 0 and difference.mean > floor:
        return Kind.SLOWER
    if difference.high < 0 and -difference.mean > floor:
        return Kind.FASTER
    if -margin < difference.low and difference.high < margin:
        return Kind.SAME
    return Kind.UNDECIDED


def exceeds(difference: Interval, *, limit: float, floor: float) -> bool | None:
    """Whether u[key] − u[reference] lies above a relative limit: beyond doubt, beyond doubt not, or None.

    A difference that does not stand out of the noise floor is in doubt whatever its interval says.
    """
    border = math.log1p(limit)
    if difference.low > border and difference.mean > floor:
        return True
    return False if difference.high < border else None


def noise_floor(twin: Sequence[float], *, k: int, delta: float) -> Floor:
    """The floor from the differences twin − original of the rounds so far."""
    if not twin:
        return Floor()
    size = abs(math.fsum(twin) / len(twin))
    if len(twin) < 2:
        return Floor(size=size)
    interval = statistics.t_interval(twin, level=statistics.spending(k, _TWIN_ALPHA, 1))
    excludes = interval.low > 0 or interval.high < 0
    return Floor(size=size, interval=interval, is_biased=excludes and size > math.log1p(delta))


def verdict_of(
    difference: Interval, *, key: str, reference: str, level: float, floor: float, settings: Settings
) -> Verdict:
    """Verdict from the interval of u[key] − u[reference]."""
    kind = decide(difference, floor=floor, delta=settings.delta)
    margin = math.log1p(settings.delta)
    notes: list[str] = []
    negligible = kind in (Kind.SLOWER, Kind.FASTER) and -margin < difference.low and difference.high < margin
    if negligible:
        notes.append("negligible")
    if kind is Kind.UNDECIDED:
        if difference.low > 0 or difference.high < 0:
            notes.append("within-noise")
        notes.append(_lacking(difference, margin=margin))
    return Verdict(
        key=key,
        reference=reference,
        kind=kind,
        ratio=math.exp(-difference.mean),
        low=math.exp(-difference.high),
        high=math.exp(-difference.low),
        rounds=difference.n,
        level=level,
        negligible=negligible,
        notes=tuple(notes),
    )


def judge_single(interval: Interval, *, key: str, reference: str, settings: Settings) -> Verdict:
    """Verdict of one process each.

    Args:
        interval: of u[key] − u[reference] over passes, at the level ``settings.alpha``.
    """
    note = "single-process: run-to-run variation is not included"
    found = judge_large(interval, key=key, reference=reference, level=settings.alpha, rounds=1, note=note)
    if found.kind is not Kind.UNDECIDED:
        return found
    return replace(found, notes=(note, "quick claims only differences beyond 10 %: use effort standard"))


def judge_large(interval: Interval, *, key: str, reference: str, level: float, rounds: int, note: str) -> Verdict:
    """Verdict from the interval of u[key] − u[reference] that claims only differences beyond ±10 %, never SAME.

    Args:
        note: why not more can be claimed.
    """
    margin = math.log1p(QUICK_MARGIN)
    return Verdict(
        key=key,
        reference=reference,
        kind=Kind.SLOWER if interval.low > margin else Kind.FASTER if interval.high < -margin else Kind.UNDECIDED,
        ratio=math.exp(-interval.mean),
        low=math.exp(-interval.high),
        high=math.exp(-interval.low) if math.isfinite(interval.low) else math.inf,
        rounds=rounds,
        level=level,
        notes=(note,),
    )


def with_doubt(words: str, *, is_value_valid: bool) -> str:
    """A verdict's words as they stand beside its value, ``FASTER 1.23× [1.19, 1.27] (value INVALID)``.

    A verdict that is spoilt says so itself; a value can be spoilt where the verdict stands, since what disturbs all
    candidates of a round alike leaves their ratio.
    """
    return words if is_value_valid or "INVALID" in words else f"{words} (value INVALID)".lstrip()


def spoiled(verdict: Verdict, reasons: Sequence[str]) -> Verdict:
    """The same verdict, marked as one that must not be used."""
    return replace(verdict, is_valid=False, notes=(*verdict.notes, *reasons)) if reasons else verdict


def _lacking(difference: Interval, *, margin: float) -> str:
    """How many more rounds would decide: (t·s/|m|)² to tell apart, (t·s/(margin − |m|))² to prove SAME."""
    ts = difference.half_width * math.sqrt(difference.n)
    size = abs(difference.mean)
    wishes = []
    if size > 0:
        wishes.append((ts / size, "to tell them apart"))
    if size < margin:
        wishes.append((ts / (margin - size), "to prove them the same"))
    need, what = min(wishes)
    more = max(1, math.ceil(min(need, 1e3) ** 2) - difference.n)
    return f"about {more:,} more rounds {what}"


def fastest(units: Units, live: Sequence[str], *, yardstick: str | None = None) -> str:
    """The live variant with the smallest mean unit over its rounds; with a yardstick, of its differences to that."""

    def mean(v: str) -> float:
        own = units[v]
        if yardstick is None:
            return math.fsum(own.values()) / len(own)
        base = units[yardstick]
        return math.fsum(u - base[r] for r, u in own.items() if r in base) / max(1, len(own.keys() & base.keys()))

    return min(live, key=lambda v: (mean(v), v))
