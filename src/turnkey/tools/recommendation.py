"""Which measured candidate is recommended, and why others are not. Pure: a record and verdicts in, a choice out."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnkey.measure import Record

VALID = "valid"
GOALS = ("latency", "throughput", "size", "memory")
_BETTER = {
    "loss": " and without their loss",
    "memory": " and in less memory",
    "size": " and smaller",
    "error": " and with a smaller error",
    "load": " and loaded sooner",
}
"""What the choice among ties has before the others, by what settled it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The choice.

    Attributes:
        key: of the candidate; None if none may be recommended.
        ties: candidates that are as fast; the choice among them is that of `turnkey.measure.tie`.
        settled_by: what of theirs decided; empty without any.
        order: of measures that ties were settled by, where it is not the default.
        undecided: candidates that may be as fast or faster: more rounds would tell.
        refused: why each other candidate could not be chosen, by key.
        loss: what the choice loses, in words; empty if it computes in the model's own precision.
    """

    key: str | None
    ties: tuple[str, ...] = ()
    settled_by: str = ""
    order: tuple[str, ...] = ()
    undecided: tuple[str, ...] = ()
    refused: Mapping[str, str]
    loss: str = ""

    @property
    def sentence(self) -> str:
        """For the terminal."""
        reasons = "; ".join(f"{key}: {reason}" for key, reason in self.refused.items())
        if self.key is None:
            return f"nothing is recommended: {reasons}"
        tie = f", as fast as {', '.join(self.ties)}{_BETTER.get(self.settled_by, '')}" if self.ties else ""
        tie += f" (ties by {', '.join(self.order)})" if self.ties and self.order else ""
        loss = f", {self.loss}" if self.loss else ""
        doubt = f"; {', '.join(self.undecided)} cannot be told from it yet" if self.undecided else ""
        return f"recommended: {self.key}{tie}{loss}{doubt}" + (f"; not considered: {reasons}" if reasons else "")


def recommend(
    record: Record,
    *,
    verification: Mapping[str, str],
    size_bytes: Mapping[str, int],
    losses: Mapping[str, str],
    errors: Mapping[str, float] | None = None,
    goal: str = "latency",
    ties: Sequence[str] | None = None,
) -> Recommendation:
    """The best candidate for a goal that is verified and whose comparison stands.

    A reason that spoils only the value (another program used the processor) leaves a comparison standing, since all
    candidates shared it; one that spoils the comparison (a wrong output, a fall-back) refuses its candidate.

    Args:
        verification: verdict by key of candidate: ``valid``, or why it does not count as verified.
        size_bytes: stored size by key, to settle ties after loss and peak memory.
        losses: by key, in words; empty or absent for what computes in the model's own precision. Of candidates that
            tie, one without a loss goes first: a loss buys nothing there. Else what is recommended in spite of a
            loss says it.
        errors: largest that verification saw, by key, to settle ties where the order asks for it.
        goal: one of `GOALS`. For latency and throughput candidates tie that are proven to be as fast; for size and
            memory the smallest wins, and of equal ones the fastest.
        ties: order of `turnkey.measure.tie.MEASURES`; None is the default one.
    """
    refused: dict[str, str] = {}
    eligible = []
    for key in record.keys:
        codes = [item.code for item in record.reasons if item.key == key and item.spoils_verdict]
        reasons = [f"INVALID ({', '.join(codes)})"] if codes else []
        if key not in record.measured:
            reasons = reasons or ["not measured"]
        elif verification.get(key) != VALID:
            reasons.insert(0, verification.get(key, "not verified"))
        if reasons:
            refused[key] = ", ".join(reasons)
        else:
            eligible.append(key)
    if not eligible:
        return Recommendation(key=None, refused=refused)
    if goal in ("size", "memory"):
        choice = _smallest(record, eligible, refused, size_bytes=size_bytes, goal=goal)
    else:
        tied = _tied(record, eligible, goal=goal)
        choice = _settled(record, tied, refused, size_bytes=size_bytes, losses=losses, errors=errors or {}, ties=ties)
        choice = replace(choice, undecided=_undecided(record, set(eligible) - set(tied), tied))
    return replace(choice, loss=losses.get(choice.key or "", ""))


def _tied(record: Record, eligible: Sequence[str], *, goal: str) -> list[str]:
    """The fastest, and those that are proven to be as fast."""
    fastest = min(eligible, key=lambda key: _slowness(record, key, goal=goal))
    tied = [fastest]
    for key in eligible:
        verdict = None if key == fastest else record.verdict(key, against=fastest)
        if verdict is not None and verdict.is_valid and verdict.is_tie:
            tied.append(key)
    return tied


def _undecided(record: Record, others: Collection[str], tied: Sequence[str]) -> tuple[str, ...]:
    """Of the others, in the record's order, those that no valid verdict puts behind any of those that tie."""
    from turnkey.measure.verdict import Kind

    def is_behind(key: str) -> bool:
        found = [record.verdict(key, against=leader) for leader in tied]
        return any(each is not None and each.is_valid and each.kind is Kind.SLOWER for each in found)

    return tuple(key for key in record.keys if key in others and not is_behind(key))


def _settled(
    record: Record,
    tied: Sequence[str],
    refused: Mapping[str, str],
    *,
    size_bytes: Mapping[str, int],
    losses: Mapping[str, str],
    errors: Mapping[str, float],
    ties: Sequence[str] | None,
) -> Recommendation:
    from turnkey.measure.tie import DEFAULT_ORDER, Tied, settled  # printing help takes the goals alone

    order = DEFAULT_ORDER if ties is None else tuple(ties)
    found = settled(
        [
            Tied(
                key=key,
                is_lossy=bool(losses.get(key)),
                memory_bytes=record.summary(key).peak_memory_bytes or float("inf"),
                size_bytes=size_bytes.get(key, 0),
                error=errors.get(key, float("inf")),
                load_ms=_load_ms(record, key),
            )
            for key in tied
        ],
        order=order,
    )
    others = tuple(key for key in tied if key != found.key)
    return Recommendation(
        key=found.key,
        ties=others,
        settled_by=found.by if others else "",
        order=() if order == DEFAULT_ORDER else order,
        refused=refused,
    )


def _load_ms(record: Record, key: str) -> float:
    summary = record.summary(key)
    return float("inf") if summary.load_ms is None else summary.load_ms + (summary.compile_ms or 0.0)


def _slowness(record: Record, key: str, *, goal: str) -> tuple[float, str]:
    summary = record.summary(key)
    if goal == "throughput":
        return -(summary.throughput_per_s or 0.0), key
    return summary.latency_ms or float("inf"), key


def _smallest(
    record: Record, eligible: list[str], refused: Mapping[str, str], *, size_bytes: Mapping[str, int], goal: str
) -> Recommendation:
    def extent(key: str) -> float:
        measured = record.summary(key).peak_memory_bytes if goal == "memory" else size_bytes.get(key)
        return float("inf") if not measured else float(measured)

    chosen = min(eligible, key=lambda key: (extent(key), *_slowness(record, key, goal="latency")))
    return Recommendation(key=chosen, refused=refused)
