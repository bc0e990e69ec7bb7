"""A call of `optimize` as checked values: every problem is found before any work, and told at once."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.navigator.custom_config import CustomConfig, CustomConfigForFormat, configs_by_format
from turnkey.navigator.data_object import parsed
from turnkey.navigator.dataloader import VerifyFunction
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.format import DeviceKind, Format, member
from turnkey.navigator.format_configs import CONFIGS, TensorRTConfig, TorchTensorRTConfig
from turnkey.navigator.model_config import DEFAULT_TARGETS, framework_of, source_format, targets_of
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.runner_table import RunnerKind, chosen_kinds, default_device
from turnkey.navigator.tolerances import Limits, checked_limits

DEFAULT_SAMPLE_COUNT = 100
_NOT_ACTED_ON = (
    *("autocast", "autocast_dtype", "inference_mode", "dynamic_shapes", "export_device", "graph_surgeon_optimization"),
    *("precision_mode", "trt_profile", "max_workspace_size", "optimization_level", "compatibility_level"),
    "timing_cache_dir",
)
"""Fields of the per-format configurations that are documented, stored, and of no consequence here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CallSettings:
    """What a call asks for, checked.

    Attributes:
        source: format of the model.
        targets: formats to make, the source first.
        kinds: runners, all of the device.
        configs: per-format configurations.
        profile: of profiling.
        limits: of correctness, by output.
        workspace: as given.
    """

    source: Format
    targets: tuple[Format, ...]
    device: DeviceKind
    kinds: tuple[RunnerKind, ...]
    configs: Mapping[Format, CustomConfigForFormat]
    profile: ProfilePlan
    sample_count: int = DEFAULT_SAMPLE_COUNT
    batching: bool = True
    input_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=dict)
    verify_func: VerifyFunction | None = None
    workspace: str | Path | None = None
    override_workspace: bool = False
    verbose: bool = False
    debug: bool = False

    def to_config(self) -> dict[str, Any]:
        """The documented ``config`` of ``status.yaml``, plain data."""
        return {
            "framework": framework_of(self.source),
            "target_formats": [each.value for each in self.targets],
            "target_device": self.device.value,
            "sample_count": self.sample_count,
            "profiler_config": self.profile.config.to_dict(parse=True),
            "runner_names": [kind.name for kind in self.kinds],
            "batch_dim": 0 if self.batching else None,
            "seed": 0,
            "_input_names": None if self.input_names is None else list(self.input_names),
            "_output_names": None if self.output_names is None else list(self.output_names),
            "from_source": True,
            "custom_configs": {config.name(): parsed(config.to_dict()) for config in self.configs.values()},
            "verbose": self.verbose,
            "debug": self.debug,
        }

    def to_own(self) -> dict[str, Any]:
        """What only Turnkey asks for, plain data."""
        later = self.profile.later
        return {
            "effort": self.profile.effort,
            "on_unstable": self.profile.on_unstable,
            "threads": self.profile.threads,
            "optimization_profile": None if later is None else later.to_dict(parse=True),
            "tolerances": {name: None if pair is None else list(pair) for name, pair in self.limits.items()},
        }


def check_call(
    model: Any,
    *,
    source: Format | None = None,
    sample_count: int = DEFAULT_SAMPLE_COUNT,
    batching: bool | None = True,
    input_names: Sequence[str] | None = None,
    output_names: Sequence[str] | None = None,
    target_formats: Sequence[Format | str] | None = None,
    target_device: DeviceKind | str | None = None,
    runners: Sequence[Any] | None = None,
    profiler_config: ProfilerConfig | None = None,
    optimization_profile: OptimizationProfile | None = None,
    workspace: str | Path | None = None,
    verbose: bool = False,
    debug: bool = False,
    verify_func: Callable[..., bool] | None = None,
    custom_configs: Sequence[CustomConfig] | None = None,
    tolerances: Limits | None = None,
    effort: str = "quick",
    on_unstable: str = "error",
    threads: int | None = None,
    budget_s: float | None = None,
    override_workspace: bool = False,
) -> CallSettings:
    """The checked values of a call.

    Raises:
        ConfigurationError: all problems of the call.
    """
    problems: list[str] = []

    def tried(make: Callable[[], Any], default: Any) -> Any:
        try:
            return make()
        except TurnkeyError as error:
            problems.append(f"{error.what}: {error.evidence}" if error.evidence else error.what)
            return default

    kind = source or tried(lambda: source_format(model), Format.PYTHON)
    is_cpu_only = kind is Format.PYTHON
    device = tried(
        lambda: (
            member(DeviceKind, target_device, what="target_device")
            if target_device is not None
            else DeviceKind.CPU
            if is_cpu_only
            else default_device()
        ),
        DeviceKind.CPU,
    )
    targets = tried(lambda: targets_of(kind, target_formats), (kind,))
    kinds = tried(lambda: chosen_kinds(runners, device), ())
    configs = tried(lambda: configs_by_format(custom_configs or ()), {})
    limits = tried(lambda: checked_limits(tolerances), {})
    if profiler_config is not None and optimization_profile is not None:
        problems.append("profiler_config and optimization_profile say the same thing; give one of them")
    config = profiler_config or ProfilerConfig()
    if not isinstance(config, ProfilerConfig):
        problems.append(f"profiler_config is a {type(config).__name__}, not a ProfilerConfig")
        config = ProfilerConfig()
    if optimization_profile is not None:
        config = optimization_profile.profiler_config()
    problems.extend(_type_faults(sample_count, batching, input_names, output_names, verify_func))
    if not batching and config.batch_sizes is not None and not config.is_as_given:
        problems.append(f"batching=False leaves no batch axis for batch_sizes={config.batch_sizes}")
    if effort not in ("quick", "standard", "rigorous"):
        problems.append(f"effort is {effort!r}; one of quick, standard, rigorous")
    if on_unstable not in ("error", "flag"):
        problems.append(f"on_unstable is {on_unstable!r}; error or flag")
    problems.extend(_profile_faults(configs, input_names))
    if problems:
        raise ConfigurationError(
            f"this call of optimize has {len(problems)} problem{'s' * (len(problems) > 1)}",
            evidence="\n".join(problems),
        )
    for each in configs:
        if each not in targets:
            message = f"the custom config {configs[each].name()} is for {each.value}, which is no target of this call"
            warnings.warn(message, ConfigurationWarning, stacklevel=3)
        for name in _without_effect(configs[each]):
            message = f"{name} of the custom config {configs[each].name()} is stored and has no effect here"
            warnings.warn(message, ConfigurationWarning, stacklevel=3)
    return CallSettings(
        source=kind,
        targets=targets,
        device=device,
        kinds=kinds,
        configs=configs,
        profile=ProfilePlan(
            config=config,
            later=optimization_profile,
            effort=effort,
            on_unstable=on_unstable,
            threads=threads,
            budget_s=budget_s,
        ),
        sample_count=sample_count,
        batching=bool(batching),
        input_names=None if input_names is None else tuple(input_names),
        output_names=None if output_names is None else tuple(output_names),
        limits=limits,
        verify_func=verify_func,
        workspace=workspace,
        override_workspace=override_workspace,
        verbose=verbose,
        debug=debug,
    )


def stored_configs(config: Mapping[str, Any], *, defaults: bool) -> list[CustomConfig]:
    """The custom configs that a package stores; with ``defaults`` reset. Unknown ones are left out.

    So is a file named for use instead of an export: a stranger's package must not choose a file of this machine.
    """
    found: list[CustomConfig] = []
    for name, fields_of in (config.get("custom_configs") or {}).items():
        kind = CONFIGS.get(name)
        if kind is None:
            continue
        made = kind.from_dict({key: value for key, value in dict(fields_of or {}).items() if key != "model_path"})
        if defaults:
            made.defaults()
        found.append(made)
    return found


def default_targets(framework: str) -> tuple[Format, ...]:
    """Targets of a framework by its stored name."""
    return next((found for kind, found in DEFAULT_TARGETS.items() if framework_of(kind) == framework), ())


def _without_effect(config: CustomConfigForFormat) -> list[str]:
    """Fields that were changed and that nothing acts on: said, since silence would promise an effect."""
    if not is_dataclass(config):
        return []
    defaults = type(config)()
    return [name for name in _NOT_ACTED_ON if getattr(config, name, None) != getattr(defaults, name, None)]


def _type_faults(sample_count: Any, batching: Any, input_names: Any, output_names: Any, verify_func: Any) -> list[str]:
    faults = []
    if isinstance(sample_count, bool) or not isinstance(sample_count, int) or sample_count < 1:
        faults.append(f"sample_count is {sample_count!r}, not a whole number from 1")
    if batching not in (True, False, None):
        faults.append(f"batching is {batching!r}, not True or False")
    for name, value in (("input_names", input_names), ("output_names", output_names)):
        if value is not None and (isinstance(value, str) or not all(isinstance(each, str) for each in value)):
            faults.append(f"{name} is {value!r}, not a sequence of texts")
    if verify_func is not None and not callable(verify_func):
        faults.append(f"verify_func is a {type(verify_func).__name__}, not a function")
    return faults


def _profile_faults(configs: Mapping[Format, CustomConfigForFormat], names: Sequence[str] | None) -> list[str]:
    """TensorRT profiles that contradict the inputs or themselves."""
    faults = []
    for config in configs.values():
        if not isinstance(config, TensorRTConfig | TorchTensorRTConfig) or not config.trt_profile:
            continue
        profile = config.trt_profile
        if names is not None and set(profile) != set(names):
            faults.append(f"the profile of {config.name()} has inputs {sorted(profile)}, the model {sorted(names)}")
        batches = {(shapes.min[0], shapes.opt[0], shapes.max[0]) for shapes in profile.values() if shapes.min}
        if len(batches) > 1:
            faults.append(f"the profile of {config.name()} has several batch ranges: {sorted(batches)}")
    return faults
