"""What changed between two artifacts or reports: engine by engine, with a verdict where one can be given.

Measurements of different times share no round: their units are compared as two independent groups (Welch), and what
one process alone measured claims only differences whose whole interval lies beyond 10 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from turnkey.lexer.row import BenchmarkRow
from turnkey.measure import Verdict, statistics
from turnkey.measure.verdict import judge_large, spoiled

if TYPE_CHECKING:
    from turnkey.lexer.artifact import LexerArtifact

_LEVEL = 0.05
_SHOWN = ("inputs", "batch_size", "threads", "mean_ms", "p50_ms", "p99_ms", "throughput_per_sec")


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One engine of one class, before and after.

    Attributes:
        before, after: the newest rows of one point of both; None where one side has none.
        verdict: after against before; None where too little is kept to say anything.
        reasons: why the two are not comparable; empty if they are.
        notes: what a reader must know of the two: models of one name that are not the same.
    """

    class_name: str
    engine: str
    before: BenchmarkRow | None
    after: BenchmarkRow | None
    verdict: Verdict | None = None
    reasons: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def remarks(self) -> tuple[str, ...]:
        """Why a figure of either side must not be used, with what to do, then the notes; one line each."""
        sides = (("first", self.before), ("second", self.after))
        invalid = [
            f"INVALID ({self.class_name}, {self.engine}, the {side}): {reason}"
            for side, row in sides
            if row is not None
            for reason in row.why_invalid
        ]
        return (*invalid, *(f"{self.class_name}: {note}" for note in self.notes))

    @property
    def words(self) -> str:
        """The answer in one line."""
        if self.before is None or self.after is None:
            return f"only in {'the second' if self.before is None else 'the first'}"
        if self.reasons:
            return f"not comparable: {'; '.join(self.reasons)}"
        if self.verdict is None and not self.after.mean_ms > 0:
            return "no mean to compare by"
        if self.verdict is None:
            return f"{self.before.mean_ms / self.after.mean_ms:.3g}× by the means alone, no verdict"
        return str(self.verdict)

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""

        def numbers(row: BenchmarkRow | None) -> dict[str, Any] | None:
            return None if row is None else {name: getattr(row, name) for name in _SHOWN}

        verdict = self.verdict
        return {
            "class_name": self.class_name,
            "engine": self.engine,
            "before": numbers(self.before),
            "after": numbers(self.after),
            "verdict": None if verdict is None else str(verdict.kind),
            "ratio": None if verdict is None else verdict.ratio,
            "low": None if verdict is None else verdict.low,
            "high": None if verdict is None or not math.isfinite(verdict.high) else verdict.high,
            "reasons": list(self.reasons),
            "remarks": list(self.remarks),
            "words": self.words,
        }


def compare(before: LexerArtifact, after: LexerArtifact) -> list[Difference]:
    """Differences between two artifacts. Where a condition of measuring differs, that is the answer."""
    return [_on_machines(each, before, after) for each in compare_rows(before.rows, after.rows)]


def _on_machines(found: Difference, before: LexerArtifact, after: LexerArtifact) -> Difference:
    if found.before is None or found.after is None:
        return found
    first, second = before.processor_of(found.before), after.processor_of(found.after)
    found = replace(found, notes=_changes(before.model_of(found.before), after.model_of(found.after)))
    if first == second:
        return found
    reason = f"another processor ({first or 'unknown'}, {second or 'unknown'})"
    return replace(found, reasons=(reason, *found.reasons), verdict=None)


def _changes(first: Mapping[str, Any], second: Mapping[str, Any]) -> tuple[str, ...]:
    """How two models of one name differ, by the hashes that both files know."""
    facts = (("structure", "model_hash"), ("weights", "weights_hash"))
    return tuple(
        f"the two models have different {what} ({str(first[key])[:8]}, {str(second[key])[:8]})"
        for what, key in facts
        if first.get(key) and second.get(key) and first[key] != second[key]
    )


def compare_rows(before: Sequence[BenchmarkRow], after: Sequence[BenchmarkRow]) -> list[Difference]:
    """Differences between the newest rows of each (class, engine).

    Where both sides have rows of the same inputs, batch size and threads, as sweeps make them, point by point.
    """
    has_inputs = all(row.inputs for row in (*before, *after))
    first, second = _newest(before, has_inputs=has_inputs), _newest(after, has_inputs=has_inputs)
    found = []
    for key in dict.fromkeys([*first, *second]):
        old, new = first.get(key, {}), second.get(key, {})
        if old and new and not old.keys() & new.keys():
            found.append(_difference(key, [*old.values()][-1], [*new.values()][-1]))
        else:
            found += [_difference(key, old.get(point), new.get(point)) for point in dict.fromkeys([*old, *new])]
    return found


_Point = tuple[int, int | None, str]


def _newest(
    rows: Sequence[BenchmarkRow], *, has_inputs: bool
) -> Mapping[tuple[str, str], Mapping[_Point, BenchmarkRow]]:
    """The newest row of each point by (class, engine), the newest point last."""
    found: dict[tuple[str, str], dict[_Point, BenchmarkRow]] = {}
    for row in rows:
        points = found.setdefault((row.class_name, row.engine), {})
        point = (row.batch_size, row.threads, row.inputs if has_inputs else "")
        points.pop(point, None)
        points[point] = row
    return found


def _difference(key: tuple[str, str], before: BenchmarkRow | None, after: BenchmarkRow | None) -> Difference:
    class_name, engine = key
    if before is None or after is None:
        return Difference(class_name=class_name, engine=engine, before=before, after=after)
    facts = ("device", "threads", "batch_size", "optimizer", "version")
    reasons = tuple(
        f"{name.replace('_', ' ')} {getattr(before, name)} and {getattr(after, name)}"
        for name in facts
        if getattr(before, name) != getattr(after, name)
    )
    if before.inputs and after.inputs and before.inputs != after.inputs:
        reasons = (*reasons, f"inputs {before.inputs} and {after.inputs}")
    return Difference(
        class_name=class_name,
        engine=engine,
        before=before,
        after=after,
        verdict=None if reasons else _verdict(before, after),
        reasons=reasons,
    )


def _verdict(before: BenchmarkRow, after: BenchmarkRow) -> Verdict | None:
    if min(len(before.units), len(after.units)) < 2:
        return None
    difference = statistics.welch_interval(after.units, before.units, level=_LEVEL)
    found = judge_large(
        difference,
        key="second",
        reference="first",
        level=_LEVEL,
        rounds=difference.n,
        note="measured at different times: only differences beyond 10 % are claimed",
    )
    return spoiled(found, [*before.why_invalid, *after.why_invalid])
