"""Which measured candidate is recommended, and why others are not. Pure: a record and verdicts in, a choice out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnkey.measure import Record

VALID = "valid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recommendation:
    """The choice.

    Attributes:
        key: of the candidate; None if none may be recommended.
        ties: candidates that are as fast; the choice among them went by memory, then size.
        refused: why each other candidate could not be chosen, by key.
    """

    key: str | None
    ties: tuple[str, ...] = ()
    refused: Mapping[str, str]

    @property
    def sentence(self) -> str:
        """For the terminal."""
        reasons = "; ".join(f"{key}: {reason}" for key, reason in self.refused.items())
        if self.key is None:
            return f"nothing is recommended: {reasons}"
        tie = f", as fast as {', '.join(self.ties)} and smaller" if self.ties else ""
        return f"recommended: {self.key}{tie}" + (f"; not considered: {reasons}" if reasons else "")


def recommend(record: Record, *, verification: Mapping[str, str], size_bytes: Mapping[str, int]) -> Recommendation:
    """The fastest candidate that is verified and whose comparison stands.

    A reason that spoils only the value (another program used the processor) leaves a comparison standing, since all
    candidates shared it; one that spoils the comparison (a wrong output, a fall-back) refuses its candidate.

    Args:
        verification: verdict by key of candidate: ``valid``, or why it does not count as verified.
        size_bytes: stored size by key, to settle ties after peak memory.
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
    fastest = min(eligible, key=lambda key: (record.summary(key).latency_ms or float("inf"), key))
    tied = [fastest]
    for key in eligible:
        verdict = None if key == fastest else record.verdict(key, against=fastest)
        if verdict is not None and verdict.is_valid and verdict.is_tie:
            tied.append(key)
    chosen = min(tied, key=lambda key: (record.summary(key).peak_memory_bytes or 0, size_bytes.get(key, 0), key))
    return Recommendation(key=chosen, ties=tuple(key for key in tied if key != chosen), refused=refused)
