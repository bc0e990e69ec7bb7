"""Runners that measure by themselves: their own statistics after one call at each batch size."""

from __future__ import annotations

from typing import Any

from turnkey.errors import ModelError, TurnkeyError
from turnkey.measure import ladder
from turnkey.measure.ladder import Stop
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiled import Profiled, saturated
from turnkey.navigator.rung_targets import fits
from turnkey.navigator.runner_adapter import registered_class
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.status import Rung


def is_self_stabilized(kind: RunnerKind) -> bool:
    """Whether a runner measures by itself."""
    return bool(kind.place) and registered_class(kind.name, place=kind.place).is_stabilized()


def self_stabilized(contestant: Contestant, prepared: Prepared, ask: ProfilePlan) -> Profiled:
    """Statistics that a runner delivers by itself after one call at each batch size."""
    batched = prepared.metadata.batch_dim == 0 and not ask.config.is_as_given
    cls = registered_class(contestant.kind.name, place=contestant.kind.place)
    rungs: list[Rung] = []
    rule = ask.rule(batched=batched)
    for batch in ladder.sizes(rule):
        if rungs and batched and not fits(prepared, batch):
            return Profiled(rungs=tuple(rungs), stop_reason=str(Stop.MEMORY_GUARD))
        try:
            samples = prepared.at_batch(batch) if batched else prepared.as_given()
        except ModelError:
            if not rungs:
                raise
            return Profiled(rungs=tuple(rungs), stop_reason=str(Stop.COMPLETE))
        runner = cls(prepared.source.model if contestant.path is None else contestant.path)
        try:
            with runner:
                runner.infer(samples.inputs[0])
            rungs.append(_delivered(runner, batch=batch if batched else None))
        except Exception as error:  # noqa: BLE001 - a plug-in raises what it likes
            failure = TurnkeyError(
                f"{contestant.key} fails at batch {batch}", evidence=f"{type(error).__name__}: {error}"
            )
            return Profiled(rungs=tuple(rungs), stop_reason=str(Stop.ERROR), error=failure)
        climbed = [ladder.Rung(batch=rung.batch_size or 1, throughput=rung.throughput) for rung in rungs]
        if ladder.is_saturated(climbed, rule):
            return Profiled(rungs=tuple(saturated(rungs, rule)), stop_reason=str(Stop.SATURATED))
    return Profiled(rungs=tuple(rungs), stop_reason=str(Stop.COMPLETE))


def _delivered(runner: Any, *, batch: int | None) -> Rung:
    average = float(runner.avg_latency)
    return Rung(
        batch_size=batch,
        avg_latency=average,
        std_latency=float(runner.std_latency),
        p50_latency=float(runner.p50_latency),
        p90_latency=float(runner.p90_latency),
        p95_latency=float(runner.p95_latency),
        p99_latency=float(runner.p99_latency),
        throughput=1000 * (batch or 1) / average,
        request_count=int(runner.request_count),
    )
