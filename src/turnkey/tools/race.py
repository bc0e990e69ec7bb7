"""A race between candidates that a tool has made: verified, measured in one experiment, the best chosen for a goal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from turnkey.errors import TurnkeyError, from_dict
from turnkey.measure import Record, Settings
from turnkey.model.source import SourceModel
from turnkey.pipeline.state import State
from turnkey.runtimes.reference import Reference
from turnkey.runtimes.verification import VariantVerification
from turnkey.tools.candidates import Candidate
from turnkey.tools.experiment import compared
from turnkey.tools.measurements import loss_of, verification_of
from turnkey.tools.recommendation import Recommendation, recommend
from turnkey.tools.verdicts import keep_reference_outputs, variant_verification
from turnkey.verify import Tolerances

_ROTATED_SAMPLES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Raced:
    """What a race showed: the state with its measurements, their record, and the choice."""

    state: State
    record: Record
    choice: Recommendation


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
    state: State, source: SourceModel, candidates: Sequence[Candidate], settings: Settings, *, goal: str = "latency"
) -> Raced:
    """Measure candidates in one experiment, and choose.

    Raises:
        TurnkeyError: none could be measured; the error of the first.
    """
    from turnkey.tools.benchmark import with_results

    reference = Reference(source)
    try:
        state, complete = keep_reference_outputs(state, reference)
    finally:
        reference.close()
    rotated = replace(complete, inputs=complete.inputs[:_ROTATED_SAMPLES], outputs=complete.outputs[:_ROTATED_SAMPLES])
    record, notes = compared(state, source, rotated, candidates, settings)
    if not record.measured:
        error = record.summary(candidates[0].key).error
        raise from_dict(dict(error or {"what": "nothing could be measured"}))
    state = with_results(state, source, rotated, list(candidates), record, notes, with_details=False, goal=goal)
    sizes = {c.key: source.parameter_bytes if c.variant is None else c.variant.size_bytes for c in candidates}
    verdicts = {candidate.key: verification_of(state, candidate, record) for candidate in candidates}
    losses = {candidate.key: loss_of(state, candidate) for candidate in candidates}
    choice = recommend(record, verification=verdicts, size_bytes=sizes, losses=losses, goal=goal)
    return Raced(state=state, record=record, choice=choice)
