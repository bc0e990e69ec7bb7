"""A race between candidates that a tool has made: verified, measured in one experiment, the best chosen for a goal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from turnkey.errors import TurnkeyError
from turnkey.measure import Settings
from turnkey.model.source import SourceModel
from turnkey.pipeline.state import State
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.tools.candidates import Candidate
from turnkey.tools.experiment import compared, rotated
from turnkey.tools.results import Results, results_of
from turnkey.tools.verdicts import keep_reference_outputs, variant_verification, with_reference_outputs
from turnkey.verify import Tolerances


def verified(
    state: State, source: SourceModel, keys: Iterable[str]
) -> tuple[State, dict[str, VariantVerification | TurnkeyError]]:
    """The state with a verdict about each of these variants, and the verdicts; an error where none could be had."""
    reference = Reference(source)
    found: dict[str, VariantVerification | TurnkeyError] = {}
    try:
        state, complete = keep_reference_outputs(state, reference)
        reference.source = replace(source, samples=complete)
        for key in keys:
            try:
                found[key] = variant_verification(state, state.variant(key), reference, Tolerances())
            except TurnkeyError as error:
                found[key] = error
                print(f"{key}: not verified: {error.what}", flush=True)
            else:
                print(found[key].sentence, flush=True)  # type: ignore[union-attr]  # it was put there just now
    finally:
        reference.close()
    kept = tuple(entry for entry in state.verification if entry.get("key") not in found)
    entries = tuple(
        entry for each in found.values() if isinstance(each, VariantVerification) for entry in each.entries()
    )
    return replace(state, verification=(*kept, *entries)), found


def race(
    state: State,
    source: SourceModel,
    candidates: Sequence[Candidate],
    settings: Settings,
    *,
    goal: str = "latency",
    ties: Sequence[str] | None = None,
) -> Results:
    """Measure candidates in one experiment, and choose.

    Raises:
        TurnkeyError: none could be measured; the error of the first.
    """
    state, complete = with_reference_outputs(state, source)
    samples = rotated(complete)
    record, notes = compared(state, source, samples, candidates, settings)
    return results_of(state, source, samples, candidates, record, notes, goal=goal, ties=ties)
