"""``nav.package.profile``: every sample at every batch size, on every runner that is right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.model.samples import SampleSet
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.dataloader import read_calls
from turnkey.navigator.format import DeviceKind, Format, member, members
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.preprocessing import by_names
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.runner_table import chosen_kinds, obstacle, runner_kinds
from turnkey.navigator.sample_sets import Choice
from turnkey.navigator.source import callable_of
from turnkey.navigator.status import CORRECTNESS, CommandStatus, Rung
from turnkey.navigator.stored_metadata import threads_of
from turnkey.navigator.stored_sets import reopened
from turnkey.navigator.workspace import Workspace
from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.plain_data import plain


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerProfile:
    """One runner: status OK or FAIL, and the results of each sample by its index.

    A result has the documented fields, and what says how far they can be believed: ``stable``, ``ci_low`` and
    ``ci_high`` (milliseconds), ``validity``.
    """

    status: CommandStatus
    detailed: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelProfile:
    runners: Mapping[str, RunnerProfile]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilingResults:
    """What `profile` returns.

    Attributes:
        models: by key.
        samples_data: shapes of each sample by its index.
    """

    models: Mapping[str, ModelProfile]
    samples_data: Mapping[int, Mapping[str, Any]]

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        models = {
            key: {
                "runners": {
                    name: {"status": each.status, "detailed": each.detailed, "reason": each.reason}
                    for name, each in model.runners.items()
                }
            }
            for key, model in self.models.items()
        }
        found: dict[str, Any] = plain({"models": models, "samples_data": self.samples_data})
        return found

    def to_file(self, path: str | Path) -> None:
        """Write as YAML, whole or not at all."""
        durable.write_text(Path(path), plain_yaml.dump(self.to_dict()))


def profile(
    package: Package,
    dataloader: Any = None,
    target_formats: Sequence[Format | str] | None = None,
    target_device: DeviceKind | str | None = None,
    runners: Sequence[Any] | None = None,
    max_batch_size: int | None = None,
    batch_sizes: list[int | None] | None = None,
    window_size: int = 25,
    stability_percentage: float = 10.0,
    stabilization_windows: int = 3,
    min_trials: int = 3,
    max_trials: int = 10,
    throughput_cutoff_threshold: float | None = 0.05,
    throughput_backoff_limit: int = 2,
    verbose: bool = False,
    *,
    threads: int | None = None,
) -> ProfilingResults:
    """Profile every sample on the runners of a package whose outputs are right. What was measured before stays.

    Args:
        dataloader: samples; None takes those of the package.
        target_formats, runners: None takes all of the package.
        threads: of every runner; None is what `optimize` was told.

    Raises:
        ConfigurationError: values that do not mean anything.
        UserInputError: the dataloader's samples do not have the inputs of the package.
    """
    later = OptimizationProfile(
        max_batch_size=max_batch_size,
        batch_sizes=batch_sizes,
        window_size=window_size,
        stability_percentage=stability_percentage,
        stabilization_windows=stabilization_windows,
        min_trials=min_trials,
        max_trials=max_trials,
        throughput_cutoff_threshold=throughput_cutoff_threshold,
        throughput_backoff_limit=throughput_backoff_limit,
    )
    workspace, prepared = reopened(package)
    threads = threads or threads_of(package.status)
    ask = ProfilePlan(config=later.profiler_config(), later=later, on_unstable="flag", threads=threads)
    records = workspace.fresh_records()
    kind = prepared.source.format
    if dataloader is not None:
        prepared = _with_samples(prepared, package, kind, dataloader)
    device = None if target_device is None else member(DeviceKind, target_device, what="target_device")
    formats = None if target_formats is None else set(members(Format, target_formats, what="a target format"))
    named = None if runners is None else {each.name for each in chosen_kinds(runners, device or DeviceKind.CPU)}
    contestants = _contestants(package, workspace, formats=formats, named=named, device=device)
    detailed: dict[str, dict[int, list[Mapping[str, Any]]]] = {each.key: {} for each in contestants}
    reasons: dict[str, str] = {}
    say = print if verbose else _silent
    for index in range(len(prepared.samples)):
        if not contestants:
            break
        one = replace(
            prepared,
            samples=(prepared.samples[index],),
            choice=Choice(profiling=(0,), correctness=(), conversion=()),
        )
        try:
            found = profile_contestants(
                one,
                contestants,
                ask,
                records=records / f"sample-{index}",
                relative_to=workspace.path,
                say=say,
            )
        except TurnkeyError as error:
            reasons.update({each.key: error.what for each in contestants})
            continue
        for key, result in found.items():
            detailed[key][index] = [_result(rung) for rung in result.rungs]
            if result.error is not None:
                reasons[key] = result.error.what
    return ProfilingResults(
        models=_by_model(contestants, detailed, reasons),
        samples_data={
            index: {name: {"shape": list(array.shape), "dtype": str(array.dtype)} for name, array in sample.items()}
            for index, sample in enumerate(prepared.samples)
        },
    )


def _contestants(
    package: Package,
    workspace: Workspace,
    *,
    formats: set[Format] | None,
    named: set[str] | None,
    device: DeviceKind | None,
) -> list[Contestant]:
    found = []
    for model in package.status.models.values():
        if formats is not None and model.model_config.format not in formats:
            continue
        if model.model_config.format.is_source and package.model is None:
            continue
        for name, runner in model.runners_status.items():
            kind = runner_kinds().get(name)
            if kind is None or obstacle(kind) or runner.ended(CORRECTNESS) is not CommandStatus.OK:
                continue
            if (named is not None and name not in named) or (device is not None and not kind.is_for(device)):
                continue
            found.append(Contestant.of(model, kind, workspace))
    return found


def _with_samples(prepared: Prepared, package: Package, kind: Format, dataloader: Any) -> Prepared:
    """Samples of a dataloader under the package's input names; without the source, by keys or else in order."""
    takes = None if package.model is None else callable_of(package.model, kind)
    calls = read_calls(dataloader, takes=takes, names=package.config.get("_input_names"))
    names = [spec.name for spec in package.status.input_metadata]
    inputs = tuple(by_names(sample, names) for sample in calls.samples)
    samples = SampleSet(structure=prepared.source.structure, inputs=inputs, outputs=(None,) * len(inputs))
    return replace(prepared, samples=inputs, sets=(samples,))


def _result(rung: Rung) -> dict[str, Any]:
    """A batch size as `RunnerProfile` holds it."""
    beside = {"stable": rung.stable, "ci_low": rung.ci_low, "ci_high": rung.ci_high, "validity": rung.validity}
    return {**rung.documented(), **beside}


def _by_model(
    contestants: Sequence[Contestant],
    detailed: Mapping[str, Mapping[int, Sequence[Mapping[str, Any]]]],
    reasons: Mapping[str, str],
) -> dict[str, ModelProfile]:
    models: dict[str, dict[str, RunnerProfile]] = {}
    for each in contestants:
        results = detailed[each.key]
        ok = any(results.values())
        models.setdefault(each.model_key, {})[each.kind.name] = RunnerProfile(
            status=CommandStatus.OK if ok else CommandStatus.FAIL,
            detailed=results,
            reason=reasons.get(each.key, ""),
        )
    return {key: ModelProfile(runners=runners) for key, runners in models.items()}


def _silent(text: str) -> None:
    """What is not verbose says nothing."""
