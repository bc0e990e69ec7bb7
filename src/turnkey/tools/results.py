"""What a measurement leaves: entries in the state, a recommendation, and what the user reads of both."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from turnkey.errors import from_dict
from turnkey.measure import Record
from turnkey.model.samples import SampleSet
from turnkey.model.source import SourceModel
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State
from turnkey.tools.benchmark_table import benchmark_table, details_table
from turnkey.tools.candidates import Candidate
from turnkey.tools.measurements import (
    error_of,
    loss_of,
    measurement_entry,
    verification_of,
    with_performance_statistics,
)
from turnkey.tools.recommendation import Recommendation, recommend
from turnkey.verify import batch_size

_BESIDE = ("load", "load_record", "batches", "batches_record")
"""Of a candidate's entry: what other measurements of it found."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Results:
    """The state with the measurements of a record, the record, and the candidate that it recommends."""

    state: State
    record: Record
    choice: Recommendation


def results_of(
    state: State,
    source: SourceModel,
    samples: SampleSet,
    candidates: Sequence[Candidate],
    record: Record,
    notes: Sequence[str],
    *,
    with_details: bool = False,
    goal: str = "latency",
    ties: Sequence[str] | None = None,
) -> Results:
    """What a record of these candidates says, told and kept.

    Args:
        samples: that were measured with.
        notes: to be told beside it.
        with_details: tell what starting costs, too.
        goal: that the recommendation is for.
        ties: order of `turnkey.measure.tie.MEASURES` that settles them; None is the default one.

    Raises:
        TurnkeyError: nothing could be measured; the error of the first candidate.
    """
    if not record.measured:
        error = record.summary(candidates[0].key).error
        raise from_dict(dict(error or {"what": "nothing could be measured"}))
    batch = batch_size(samples.inputs[0])
    sizes = {c.key: source.parameter_bytes if c.variant is None else c.variant.size_bytes for c in candidates}
    verified = {c.key: verification_of(state, c, record) for c in candidates}
    losses = {c.key: loss_of(state, c) for c in candidates}
    errors = {c.key: error_of(state, c) for c in candidates}
    choice = recommend(
        record, verification=verified, size_bytes=sizes, losses=losses, errors=errors, goal=goal, ties=ties
    )
    assert record.path is not None, "the experiment was given a path"
    where = BuildPaths(state.cache_dir, state.build_name).relative(record.path)
    loads = {
        entry.get("key"): {name: entry[name] for name in _BESIDE if name in entry} for entry in state.measurements
    }
    entries = [
        measurement_entry(c, record, batch=batch, size_bytes=sizes[c.key], verification=verified[c.key], path=where)
        | loads.get(c.key, {})
        for c in candidates
    ]
    kept = tuple(entry for entry in state.measurements if entry.get("key") not in verified)
    told = [benchmark_table(record, batch=batch, size_bytes=sizes)]
    told += [details_table(record)] if with_details else []
    told += [record.sentence(), choice.sentence, *notes, *(reason.line for reason in record.reasons)]
    state = replace(state, measurements=(*kept, *entries), chosen=choice.key, listing="\n".join(told))
    shown = choice.key or record.measured[-1]
    [entry] = [entry for entry in entries if entry["key"] == shown]
    return Results(state=with_performance_statistics(state, entry, choice), record=record, choice=choice)
