"""Profiling over batch sizes: the engine's ladder, read as the documented results.

All runners that still climb are measured together at each batch size. A rung's numbers are those of all calls of the
last windows pooled; the measuring engine's interval and its verdicts about the other runners stand beside them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from turnkey import host
from turnkey.errors import ModelError, TurnkeyError, from_dict
from turnkey.measure import Record, Settings, TargetDescription, Windows, run_experiment, run_in_process, statistics
from turnkey.measure.climb import Climb, run_ladder
from turnkey.measure.experiment import MEMORY_SHARE
from turnkey.measure.ladder import LadderRule, Stop
from turnkey.measure.verdict import Kind
from turnkey.measure.windows import timed_calls
from turnkey.model.samples import SampleSet
from turnkey.navigator.exceptions import UnstableMeasurementError
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profiler_config import MeasurementMode, ProfilerConfig
from turnkey.navigator.runner_adapter import registered_class, runtime_of
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.status import Rung
from turnkey.runtimes import LoadRequest
from turnkey.runtimes.handover import UNREADABLE, Handover, HandoverImpossible, handed_over
from turnkey.runtimes.target import ModelTarget
from turnkey.verify import Tolerances, precision_of

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Contestant:
    """One runner of one model that is profiled.

    Attributes:
        model_key: of the model.
        kind: the runner.
        path: the model's file; None for a source in memory.
        sha256: of the file.
    """

    model_key: str
    kind: RunnerKind
    path: Path | None
    sha256: str = ""

    @property
    def key(self) -> str:
        """In records: ``onnx @ OnnxCPU``."""
        return f"{self.model_key} @ {self.kind.name}"

    def facts(self) -> dict[str, Any]:
        """What the record says about it beside its numbers."""
        return {
            "variant": self.model_key,
            "runtime": self.kind.runtime,
            "runner": self.kind.name,
            "device": self.kind.device.value,
            "options": dict(self.kind.options),
            "sha256": self.sha256,
        }

    def description(self, samples: Path, module: Mapping[str, Any] | None) -> TargetDescription:
        """How a fresh process makes the target."""
        arguments: dict[str, Any] = {
            "runtime": self.kind.runtime,
            "samples": str(samples),
            "device": self.kind.device.value,
            "options": dict(self.kind.options),
            "precision": precision_of(self.model_key),
        }
        if self.path is None:
            arguments["module"] = None if module is None else dict(module)
        else:
            arguments["path"] = str(self.path)
        factory = "turnkey.runtimes.target:load_target"
        if self.kind.place:
            factory, arguments["place"] = "turnkey.navigator.runner_adapter:load_registered", self.kind.place
        return TargetDescription(key=self.key, factory=factory, arguments=arguments, facts=self.facts())

    def target(self, prepared: Prepared, samples: SampleSet, *, threads: int) -> ModelTarget:
        """The target in this process."""
        request = LoadRequest(
            module=prepared.source.model if self.path is None else None,
            structure=prepared.source.structure if self.path is None else None,
            path=self.path,
            device=self.kind.device.value,
            threads=threads,
            options=dict(self.kind.options),
        )
        return ModelTarget(
            runtime_of(self.kind.runtime, place=self.kind.place),
            request=lambda: request,
            samples=lambda: samples,
            tolerances=Tolerances(precision=precision_of(self.model_key)),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What is asked of profiling.

    Attributes:
        config: the page's configuration.
        later: the later form, where that is what the caller gave.
        effort: of the measuring engine at each rung.
        on_unstable: ``error`` (documented) or ``flag``.
        threads: of every runner; None is the fair count of this machine.
        budget_s: wall time after which no further rung starts.
        seed: of the order in which runners are measured.
    """

    config: ProfilerConfig = field(default_factory=ProfilerConfig)
    later: OptimizationProfile | None = None
    effort: str = "quick"
    on_unstable: str = "error"
    threads: int | None = None
    budget_s: float | None = None
    seed: int = 0

    def windows(self) -> Windows:
        """The window rule in the engine's terms."""
        config, later = self.config, self.later
        is_count = config.measurement_mode is MeasurementMode.COUNT_WINDOWS
        return Windows(
            mode="COUNT_WINDOWS" if is_count else "TIME_WINDOWS",
            measurement_request_count=config.measurement_request_count or 50,
            measurement_interval=float(config.measurement_interval or 5000),
            stability_percentage=float(config.stability_percentage),
            max_trials=config.max_trials,
            stabilization_windows=None if later is None else later.stabilization_windows,
            min_trials=None if later is None else later.min_trials,
        )

    def rule(self, *, batched: bool) -> LadderRule:
        """The ladder in the engine's terms; a model without a batch axis has one rung."""
        sizes = self.config.batch_sizes
        given: tuple[int, ...] | None = None
        if not batched or self.config.is_as_given:
            given = (1,)
        elif sizes is not None:
            given = tuple(size for size in sizes if size is not None)
        return LadderRule(
            throughput_cutoff_threshold=None if self.config.never_stops else self.config.throughput_cutoff_threshold,
            throughput_backoff_limit=None if self.later is None else self.later.throughput_backoff_limit,
            batch_sizes=given,
            max_batch_size=None if self.later is None else self.later.max_batch_size,
            on_unstable="flag" if self.on_unstable == "flag" else "stop",
            unstable_repeats=2,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """What profiling one contestant showed.

    Attributes:
        rungs: stable ones ascending; with ``on_unstable="flag"`` the others too.
        stop_reason: why it ended.
        error: of the batch size at which it ended, where that was no stop rule.
    """

    rungs: tuple[Rung, ...]
    stop_reason: str
    error: TurnkeyError | None = None


def profile_contestants(
    prepared: Prepared,
    contestants: Sequence[Contestant],
    ask: Profile,
    *,
    records: Path,
    relative_to: Path,
    say: Any,
) -> dict[str, Profiled]:
    """Profile contestants together, each until its own stop rule; by `Contestant.key`.

    Args:
        records: directory of the records; finished rungs of the same plan are not measured again.
        relative_to: what a rung's ``record`` is relative to.
        say: told in plain words what happens.

    Raises:
        ModelError: the source does not take the first batch size.
    """
    found = {each.key: _self_stabilized(each, prepared, ask) for each in contestants if _is_self_stabilized(each.kind)}
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
        rungs = _Rungs(prepared, others, batched=batched, stack=stack, say=say)
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
            listen=say,
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
                listen=say,
                measure=rungs.measured_here,
            )
    for key, climb in result.climbs.items():
        found[key] = _profiled(climb, ask, batched=batched, relative_to=relative_to)
        if rungs.refused is not None and found[key].stop_reason == str(Stop.COMPLETE):
            found[key] = replace(found[key], stop_reason=str(Stop.MEMORY_GUARD))
    return found


def fits(prepared: Prepared, batch: int) -> bool:
    """Whether inputs and outputs of a batch size fit into the memory that is free, by this process's limits."""
    return prepared.needed_bytes(batch) <= MEMORY_SHARE * host.available_memory_bytes()


def _takes(prepared: Prepared, batch: int) -> bool:
    """Whether the source model computes a batch size; True where it is not at hand to ask."""
    try:
        prepared.at_batch(batch)
    except ModelError:
        return False
    return True


class _Rungs:
    """What is fed at each batch size, and to whom."""

    def __init__(
        self, prepared: Prepared, contestants: Sequence[Contestant], *, batched: bool, stack: ExitStack, say: Any
    ) -> None:
        self._prepared = prepared
        self._contestants = {each.key: each for each in contestants}
        self._batched = batched
        self._stack = stack
        self._say = say
        self._module: Mapping[str, Any] | None = None
        self._samples: dict[int, SampleSet] = {}
        self._handed: dict[int, Handover] = {}
        self._asked = 0
        """The batch size that was asked for last: what is measured next."""
        self.refused: int | None = None
        """The batch size whose inputs and outputs alone would not fit into memory."""

    def hand_over(self) -> None:
        """Write the live source for fresh processes, once. Raises HandoverImpossible."""
        first = self._prepared.sets[0]
        source = self._prepared.source.bare(first)
        handover = self._stack.enter_context(handed_over(source, first, with_module=True))
        self._module = handover.module

    def targets(self, batch: int) -> list[TargetDescription]:
        """All contestants at a batch size; none where it would not fit into memory, or the source does not take it."""
        if self._batched and self._samples and not fits(self._prepared, batch):
            self.refused = batch
            return []
        self._asked = batch
        try:
            samples = self._at(batch)
        except ModelError as error:
            if not self._samples:
                raise
            self._say(f"batch {batch}: {error.what}: {error.evidence}")
            return []
        if batch not in self._handed:
            source = self._prepared.source.bare(samples)
            self._handed[batch] = self._stack.enter_context(handed_over(source, samples, with_module=False))
        directory = self._handed[batch].samples
        return [each.description(directory, self._module) for each in self._contestants.values()]

    def measured_here(
        self,
        targets: Sequence[TargetDescription],
        *,
        reference: str | None,
        settings: Settings,
        path: Path | None,
        listen: Any,
    ) -> Record:
        """One rung in this process, with the interface of `run_experiment`."""
        threads = settings.threads or host.fair_threads()
        samples = self._samples[self._asked]
        live = {each.key: self._contestants[each.key] for each in targets}
        made = {key: each.target(self._prepared, samples, threads=threads) for key, each in live.items()}
        with ExitStack() as stack:
            if hasattr(self._prepared.source.model, "named_parameters"):
                from turnkey.runtimes.torch_eager import left_as_it_was

                stack.enter_context(left_as_it_was(self._prepared.source.model))
            try:
                return run_in_process(
                    made,
                    reference=reference,
                    settings=replace(settings, threads=threads),
                    path=path,
                    listen=listen,
                    facts={key: each.facts() for key, each in live.items()},
                )
            finally:
                for target in made.values():
                    target.close()

    def _at(self, batch: int) -> SampleSet:
        if batch not in self._samples:
            self._samples[batch] = self._prepared.at_batch(batch) if self._batched else self._prepared.as_given()
        return self._samples[batch]


def _cannot_be_rebuilt(records: Sequence[Record], contestants: Sequence[Contestant]) -> bool:
    live = [each.key for each in contestants if each.path is None]
    errors = [record.summary(key).error or {} for record in records for key in live if key in record.keys]
    return any(error.get("what") == UNREADABLE for error in errors)


def _profiled(climb: Climb, ask: Profile, *, batched: bool, relative_to: Path) -> Profiled:
    rungs = []
    for number, (found, record) in enumerate(zip(climb.rungs, climb.records, strict=True)):
        if not found.stable and ask.on_unstable != "flag":
            continue
        is_last = number == len(climb.rungs) - 1
        rung = _rung(climb.key, record, batch=found.batch if batched else None, relative_to=relative_to)
        rungs.append(replace(rung, saturated=is_last and climb.stop is Stop.SATURATED))
    error: TurnkeyError | None = None
    if climb.error is not None:
        error = from_dict(dict(climb.error))
    elif climb.stop is Stop.UNSTABLE and ask.on_unstable != "flag":
        means = climb.records[-1].windows(climb.key).means_ms
        error = UnstableMeasurementError(
            f"{climb.key} did not become stable: {climb.reason}",
            evidence=f"window means {', '.join(f'{mean:.3g}' for mean in means)} ms",
            remedy="a quieter machine, a larger stability_percentage, or on_unstable='flag'",
            rungs=[rung.documented() for rung in rungs],
            means_ms=means,
        )
    return Profiled(rungs=tuple(rungs), stop_reason="" if climb.stop is None else str(climb.stop), error=error)


def _rung(key: str, record: Record, *, batch: int | None, relative_to: Path) -> Rung:
    summary, stability = record.summary(key), record.windows(key)
    times = timed_calls(record.timed[key])
    end = stability.stable_at or stability.trials
    first = max(0, end - stability.window_count)
    start = stability.ends[first - 1] if first else 0
    pooled = times[start : stability.ends[end - 1]] if end else times
    numbers = pooled_numbers(pooled, batch=batch)
    return Rung(
        batch_size=batch,
        **numbers,
        stable=stability.stable,
        stability_windows=stability.window_count,
        ci_center=summary.latency_ms,
        ci_low=summary.low_ms,
        ci_high=summary.high_ms,
        record="" if record.path is None else record.path.relative_to(relative_to).as_posix(),
        validity=summary.validity,
        reasons=summary.reasons,
        ties=_ties(key, record),
        means_ms=stability.means_ms,
        peak_memory_bytes=summary.peak_memory_bytes,
        load_ms=summary.load_ms,
        first_call_ms=summary.first_ms,
    )


def pooled_numbers(times_ns: Any, *, batch: int | None) -> dict[str, Any]:
    """The documented numbers of a batch size from all its calls: population deviation, linear percentiles.

    Args:
        times_ns: nanoseconds of each call.
    """
    times = np.asarray(times_ns, dtype=np.float64) / _NS_PER_MS
    average = float(times.mean())
    return {
        "avg_latency": average,
        "std_latency": math.sqrt(statistics.population_variance(times)),
        **{f"p{q}_latency": statistics.linear_quantile(times, q / 100) for q in (50, 90, 95, 99)},
        "throughput": 1000 * max(1, batch or 1) / average,
        "request_count": len(times),
    }


def _ties(key: str, record: Record) -> tuple[str, ...]:
    """Others that this experiment cannot tell from this one."""
    tied = []
    for other in record.measured:
        if other == key:
            continue
        verdict = record.verdict(key, against=other)
        if verdict is None or verdict.is_tie or verdict.kind is Kind.UNDECIDED:
            tied.append(other)
    return tuple(tied)


def _is_self_stabilized(kind: RunnerKind) -> bool:
    return bool(kind.place) and registered_class(kind.name, place=kind.place).is_stabilized()


def _self_stabilized(contestant: Contestant, prepared: Prepared, ask: Profile) -> Profiled:
    """Statistics that a runner delivers by itself after one call at each batch size."""
    from turnkey.measure.ladder import sizes

    batched = prepared.metadata.batch_dim == 0 and not ask.config.is_as_given
    cls = registered_class(contestant.kind.name, place=contestant.kind.place)
    rungs: list[Rung] = []
    threshold = 1 + (ask.config.throughput_cutoff_threshold or 0.0)
    for batch in sizes(ask.rule(batched=batched)):
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
        if len(rungs) > 1 and not ask.config.never_stops and rungs[-1].throughput < rungs[-2].throughput * threshold:
            rungs[-1] = replace(rungs[-1], saturated=True)
            return Profiled(rungs=tuple(rungs), stop_reason=str(Stop.SATURATED))
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
