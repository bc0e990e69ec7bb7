"""Two candidates of two records: a verdict where they may be compared, else the facts that keep them apart. Pure.

Records of different sessions were not interleaved: what the host did meanwhile is part of the difference. The verdict
is Welch's t over rounds, so it is wide, and whatever spoils a *value* in either record spoils it too. A candidate that
both records measured and that is byte for byte the same takes the host's own change out, as a yardstick does.

Scope: finished comparisons. A gate, which must not cry wolf, measures both in one experiment instead.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from turnkey.measure import verdict
from turnkey.measure.record import Record
from turnkey.measure.units import units_of
from turnkey.measure.verdict import Kind, Units, Verdict

_APART = 1_000_000
"""Added to the rounds of the second record: rounds of different sessions are no pairs."""
_MARK, _STICK = " (later)", " (yardstick)"
"""Keys of the second record's candidate and of the yardstick among the units."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Between:
    """How one candidate compares to one of an earlier record.

    Attributes:
        verdict: about the later one, with the earlier one as its reference; None where nothing can be said.
        differences: facts that must agree and do not: not comparable unless empty.
        notes: on what the verdict rests.
    """

    verdict: Verdict | None
    differences: Mapping[str, tuple[Any, Any]]
    notes: tuple[str, ...] = ()


def compare_records(
    base: Record, base_key: str, other: Record, other_key: str, *, allowed: frozenset[str] = frozenset()
) -> Between:
    """Compare ``other_key`` of one record to ``base_key`` of another.

    Args:
        allowed: facts that may differ: ``processor``, ``inputs``, ``threads``, ``samples``, ``device``,
            ``runtime_version``, ``objective`` (that of ``base`` is compared then).

    Raises:
        UsageError: a record has no such candidate.
    """
    if base is other:
        return Between(verdict=other.verdict(other_key, against=base_key), differences={}, notes=("interleaved",))
    found = base.differences(other, pairs={base_key: other_key})
    kept = {name: values for name, values in found.items() if name.rpartition(": ")[2] not in allowed}
    notes = tuple(f"{name} differs, which was allowed" for name in found if name not in kept)
    if kept:
        return Between(verdict=None, differences=kept, notes=notes)
    judged = _judged(base, base_key, other, other_key)
    return replace(judged, notes=(*notes, *judged.notes))


def _judged(base: Record, base_key: str, other: Record, other_key: str) -> Between:
    # Anew and by one rule: records of another schema or objective have other numbers of their own.
    earlier, later = (units_of(record.timed, objective=base.settings.objective) for record in (base, other))
    first, second = earlier.get(base_key, {}), later.get(other_key, {})
    if min(len(first), len(second)) < 2:
        note = "one process of each: use effort standard for a verdict between records"
        return Between(verdict=None, differences={}, notes=(note,))
    units = {base_key: dict(first), other_key + _MARK: _moved(second)}
    stick = _yardstick(base, base_key, other, other_key, units=(earlier, later))
    if stick is not None:
        units[stick + _STICK] = {**earlier[stick], **_moved(later[stick])}
    interval = verdict.difference(
        units,
        other_key + _MARK,
        base_key,
        level=base.settings.alpha,
        yardstick=None if stick is None else stick + _STICK,
    )
    if interval is None:
        return Between(verdict=None, differences={}, notes=("too few rounds in common with the yardstick",))
    floor = max(math.log1p(record.noise_floor or 0.0) for record in (base, other))
    judged = verdict.verdict_of(
        interval, key=other_key, reference=base_key, level=base.settings.alpha, floor=floor, settings=base.settings
    )
    how = "measured in different sessions" + ("" if stick is None else f", by the yardstick {stick}")
    spoilers = [
        str(reason)
        for record, key in ((base, base_key), (other, other_key))
        for reason in record.reasons
        if reason.applies_to(key)
    ]
    notes = tuple(note for note in judged.notes if judged.kind is not Kind.UNDECIDED or "more rounds" not in note)
    said = replace(judged, notes=(*notes, how))
    return Between(verdict=verdict.spoiled(said, spoilers), differences={}, notes=(how,))


def _moved(units: Mapping[int, float]) -> dict[int, float]:
    return {number + _APART: unit for number, unit in units.items()}


def _yardstick(
    base: Record, base_key: str, other: Record, other_key: str, *, units: tuple[Units, Units]
) -> str | None:
    """A third candidate that both measured alike: the same stored bytes under the same conditions."""
    for key in base.measured:
        if key in (base_key, other_key) or key not in other.measured or min(len(side[key]) for side in units) < 2:
            continue
        digests = {record.summary(key).facts.get("sha256") for record in (base, other)}
        if len(digests) == 1 and digests != {None} and not base.differences(other, pairs={key: key}):
            return key
    return None
