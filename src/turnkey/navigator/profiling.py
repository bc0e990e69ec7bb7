"""Profiling over batch sizes: the engine's ladder, climbed by all runners together, read as the documented results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.errors import ModelError
from turnkey.measure import Record, Settings, run_experiment
from turnkey.measure.climb import run_ladder
from turnkey.measure.ladder import Stop
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiled import Profiled, profiled_of
from turnkey.navigator.rung_targets import RungTargets
from turnkey.navigator.self_stabilized import is_self_stabilized, self_stabilized
from turnkey.runtimes.handover import UNREADABLE, HandoverImpossible


def profile_contestants(
    prepared: Prepared,
    contestants: Sequence[Contestant],
    ask: ProfilePlan,
    *,
    records: Path,
    relative_to: Path,
    say: Callable[[str], None],
    listen: Callable[[str], None] | None = None,
) -> dict[str, Profiled]:
    """Profile contestants together, each until its own stop rule; by `Contestant.key`.

    Args:
        records: directory of the records; finished rungs of the same plan are not measured again.
        relative_to: what a rung's ``record`` is relative to.
        say: told in plain words what is done and left out.
        listen: told how the measuring goes on; None is ``say``.

    Raises:
        ModelError: the source does not take the first batch size.
    """
    found = {each.key: self_stabilized(each, prepared, ask) for each in contestants if is_self_stabilized(each.kind)}
    others = [each for each in contestants if each.key not in found]
    if not others:
        return found
    batched = prepared.metadata.batch_dim == 0 and not ask.config.is_as_given
    settings = Settings(effort=ask.effort, threads=ask.threads, seed=ask.seed, windows=ask.windows())
    rule = ask.rule(batched=batched)
    if batched and ask.config.batch_sizes is None and not _takes(prepared, 1):
        own = prepared.metadata.largest_batch or 1
        say(f"only batch {own} is profiled, the dataloader's own: the source model does not take batch 1")
        rule = replace(rule, batch_sizes=(own,), max_batch_size=None)
    with ExitStack() as stack:
        rungs = RungTargets(prepared, others, batched=batched, stack=stack, say=say)
        measure: Any = run_experiment
        if any(each.path is None for each in others):
            try:
                rungs.hand_over()
            except HandoverImpossible as reason:
                say(f"measured in this process, without fresh ones: the model cannot leave it ({reason})")
                measure = rungs.measured_here
        result = run_ladder(
            rungs.targets,
            rule=rule,
            settings=settings,
            path=records,
            budget_s=ask.budget_s,
            listen=listen or say,
            measure=measure,
        )
        if measure is run_experiment and _cannot_be_rebuilt(result.records, others):
            say("measured in this process, without fresh ones: the model cannot be rebuilt in another")
            result = run_ladder(
                rungs.targets,
                rule=rule,
                settings=settings,
                path=records / "here",
                budget_s=ask.budget_s,
                listen=listen or say,
                measure=rungs.measured_here,
            )
    for key, climb in result.climbs.items():
        found[key] = profiled_of(climb, ask, batched=batched, relative_to=relative_to)
        if rungs.refused is not None and found[key].stop_reason == str(Stop.COMPLETE):
            found[key] = replace(found[key], stop_reason=str(Stop.MEMORY_GUARD))
    return found


def _takes(prepared: Prepared, batch: int) -> bool:
    """Whether the source model computes a batch size; True where it is not at hand to ask."""
    try:
        prepared.at_batch(batch)
    except ModelError:
        return False
    return True


def _cannot_be_rebuilt(records: Sequence[Record], contestants: Sequence[Contestant]) -> bool:
    live = [each.key for each in contestants if each.path is None]
    errors = [record.summary(key).error or {} for record in records for key in live if key in record.keys]
    return any(error.get("what") == UNREADABLE for error in errors)
