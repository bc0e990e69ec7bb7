"""What a gate says of one input, and of all: pass, regression, undecided, invalid. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from turnkey.errors import TurnkeyError
from turnkey.measure.statistics import Interval
from turnkey.measure.verdict import Verdict, exceeds
from turnkey.report.gate.exact import ExactResult


class Answer(IntEnum):
    """The exit code of the gate."""

    PASS = 0
    REGRESSION = 1
    UNDECIDED = 2
    INVALID = 3


_SEVERITY = (Answer.REGRESSION, Answer.INVALID, Answer.UNDECIDED, Answer.PASS)
"""Of several inputs the first of these that occurs is the answer: a proven regression outweighs what is open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Slowdown:
    """time(head) / time(base) − 1 with its interval, and whether it lies above the limit.

    Attributes:
        exceeds: None where that is in doubt.
        reasons: why the comparison must not be used.
        lacking: what more would decide.
    """

    estimate: float
    low: float
    high: float
    exceeds: bool | None
    rounds: int
    reasons: tuple[str, ...] = ()
    lacking: str = ""

    def __str__(self) -> str:
        return f"{_percent(self.estimate)} % [{_percent(self.low)}, {_percent(self.high)}]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One input.

    Attributes:
        slowdown: None where it was not measured.
        exact: figures that need no statistics.
        error: what kept it from being built or measured.
    """

    name: str
    base: str
    head: str
    slowdown: Slowdown | None = None
    base_ms: float | None = None
    head_ms: float | None = None
    exact: tuple[ExactResult, ...] = ()
    error: TurnkeyError | None = None

    @property
    def answer(self) -> Answer:
        if any(result.is_regression for result in self.exact):
            return Answer.REGRESSION
        if self.error is not None or self.slowdown is None or self.slowdown.reasons:
            return Answer.INVALID
        if self.slowdown.exceeds is None:
            return Answer.UNDECIDED
        return Answer.REGRESSION if self.slowdown.exceeds else Answer.PASS

    @property
    def causes(self) -> tuple[str, ...]:
        """Why it is no pass, in words."""
        said = [f"{result.metric} {result.base} → {result.head}" for result in self.exact if result.is_regression]
        if self.error is not None:
            said.append(self.error.what)
        if self.slowdown is not None:
            said += [f"INVALID: {reason}" for reason in self.slowdown.reasons]
            if not self.slowdown.reasons and self.slowdown.exceeds:
                said.append(f"slower by {self.slowdown}")
            if not self.slowdown.reasons and self.slowdown.exceeds is None:
                said.append(f"the limit lies inside {self.slowdown}: {self.slowdown.lacking}")
        return tuple(said)


def overall(judgements: Iterable[Judgement]) -> Answer:
    """Of all inputs; nothing judged is invalid."""
    found = {judgement.answer for judgement in judgements}
    return next((answer for answer in _SEVERITY if answer in found), Answer.INVALID)


def slowdown_of(verdict: Verdict, *, limit: float, floor: float | None) -> Slowdown:
    """The verdict about head with base as its reference, as a slow-down against a limit.

    Args:
        limit: relative slow-down that is allowed.
        floor: relative difference that the host made of nothing; None without a twin.
    """
    interval = Interval(
        mean=-math.log(verdict.ratio), low=-_log(verdict.high), high=-_log(verdict.low), n=verdict.rounds
    )
    found = exceeds(interval, limit=limit, floor=math.log1p(floor or 0.0))
    return Slowdown(
        estimate=math.expm1(interval.mean),
        low=math.expm1(interval.low),
        high=math.expm1(interval.high),
        exceeds=found,
        rounds=verdict.rounds,
        reasons=() if verdict.is_valid else _reasons(verdict.notes),
        lacking="" if found is not None else f"{verdict.rounds} rounds were measured; more would narrow it",
    )


def _percent(share: float) -> str:
    """``+4.2``; what lies beyond ten times is no figure to print digits of."""
    return "> +900" if share > 9 else f"{100 * share:+.1f}"


def _reasons(notes: Sequence[str]) -> tuple[str, ...]:
    """Of the notes of a spoilt verdict those that spoil it: they begin with a code and a colon."""
    return tuple(note for note in notes if ": " in note and note.partition(":")[0].replace("-", "").isalpha())


def _log(value: float) -> float:
    return math.log(value) if 0 < value < math.inf else math.copysign(math.inf, value - 1)
