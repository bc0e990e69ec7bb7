"""Sides against the first of them: every candidate that both have, with a verdict or the reason why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnkey.errors import UsageError
from turnkey.measure.between import Between, compare_records
from turnkey.report.figure import is_number
from turnkey.report.measured import Measured, Side

ALLOWED = ("processor", "inputs", "objective", "threads", "samples", "device", "runtime_version")
"""Facts that must agree unless the user says that they may differ."""
_EXACT = ("size_bytes", "onnx_total_flops", "parameters")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """One candidate on both sides, or on one alone.

    Attributes:
        between: verdict, or what keeps them apart; None where a side has no record of it.
        changes: figures that need no statistics and differ: name to both values.
    """

    model: str
    candidate: str
    base: Measured | None
    other: Measured | None
    between: Between | None = None
    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_decided(self) -> bool:
        return self.between is not None and self.between.verdict is not None

    @property
    def answer(self) -> str:
        """The verdict, or why there is none, in one line."""
        if self.base is None or self.other is None:
            return "only in the second" if self.base is None else "only in the first"
        if self.between is None:
            return "no record of both: figures without a verdict"
        if self.between.differences:
            return "not comparable: " + "; ".join(
                f"{name} {_plain(old)} and {_plain(new)}" for name, (old, new) in self.between.differences.items()
            )
        if self.between.verdict is None:
            return "; ".join(self.between.notes)
        return str(self.between.verdict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """One side against the baseline."""

    base: Side
    other: Side
    pairs: tuple[Pair, ...]


def compare(sides: Sequence[Side], *, allowed: frozenset[str] = frozenset()) -> tuple[Comparison, ...]:
    """Every further side against the first.

    Args:
        allowed: of `ALLOWED`, facts that may differ.

    Raises:
        UsageError: fewer than two sides.
    """
    if len(sides) < 2:
        raise UsageError(
            "a comparison needs two things",
            evidence=f"given: {', '.join(side.label for side in sides) or 'none'}",
            remedy="turnkey compare OLD NEW   # caches, builds, records, packages, .lexer files\n"
            "a directory that is called like a tool, cache or report, as ./cache",
        )
    base = sides[0]
    return tuple(
        Comparison(base=base, other=other, pairs=tuple(_pairs(base, other, allowed=allowed))) for other in sides[1:]
    )


def _pairs(base: Side, other: Side, *, allowed: frozenset[str]) -> list[Pair]:
    first, second = _named(base, other), _named(other, base)
    pairs = []
    for name in dict.fromkeys([*first, *second]):
        old, new = first.get(name), second.get(name)
        known = old or new
        assert known is not None, "a name is of one side or the other"
        pairs.append(
            Pair(
                model=known.model,
                candidate=known.candidate,
                base=old,
                other=new,
                between=None if old is None or new is None else _between(old, new, allowed=allowed),
                changes={} if old is None or new is None else _changes(old, new),
            )
        )
    return pairs


def _named(side: Side, other: Side) -> dict[tuple[str, str], Measured]:
    """Items by (model, candidate); the model does not matter where each side has one only (two records, say)."""
    is_one = len({item.model for item in side.items}) == 1 == len({item.model for item in other.items})
    is_alone = is_one and len(side.items) == 1 == len(other.items)
    return {("" if is_one else item.model, "" if is_alone else item.candidate): item for item in side.items}


def _between(old: Measured, new: Measured, *, allowed: frozenset[str]) -> Between | None:
    if old.record is None or new.record is None:
        return None
    return compare_records(old.record, old.candidate, new.record, new.candidate, allowed=allowed)


def _changes(old: Measured, new: Measured) -> dict[str, tuple[Any, Any]]:
    found = {}
    for name in _EXACT:
        values = [item.entry.get(name, item.facts.get(name)) for item in (old, new)]
        if all(map(is_number, values)) and values[0] != values[1]:
            found[name] = (values[0], values[1])
    words = [str(item.entry.get("verification", "")).partition(":")[0] for item in (old, new)]
    if all(words) and words[0] != words[1]:
        found["verified"] = (words[0], words[1])
    return found


def _plain(value: Any) -> str:
    return " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
