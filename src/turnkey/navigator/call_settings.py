"""A call of `optimize` as checked values: every problem is found before any work, and told at once."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from os import PathLike
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, TurnkeyError
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.custom_config import CustomConfig, CustomConfigForFormat, configs_by_format
from turnkey.navigator.data_object import parsed
from turnkey.navigator.dataloader import VerifyFunction
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.format import DeviceKind, Format, member
from turnkey.navigator.format_configs import CONFIGS, OnnxConfig, TensorRTConfig, TorchTensorRTConfig
from turnkey.navigator.model_config import DEFAULT_TARGETS, framework_of, source_format, targets_of
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.runner_table import RunnerKind, chosen_kinds, default_device
from turnkey.navigator.tolerances import Limits, checked_limits, plain_limits

_NOT_ACTED_ON = (
    *("autocast", "autocast_dtype", "inference_mode", "dynamic_shapes", "export_device", "graph_surgeon_optimization"),
    *("precision_mode", "compatibility_level", "timing_cache_dir"),
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
    sample_count: int
    batching: bool = True
    input_names: tuple[str, ...] | None = None
    output_names: tuple[str, ...] | None = None
    limits: Limits = field(default_factory=dict)
    verify_func: VerifyFunction | None = None
    workspace: str | Path | None = None
    override_workspace: bool = False
    verbose: bool = False
    debug: bool = False

    def kinds_of(self, format: Format) -> list[RunnerKind]:
        """The runners for models of a format."""
        return [kind for kind in self.kinds if kind.format is format]

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
            "tolerances": plain_limits(self.limits),
        }


def check_call(model: Any, given: CallArguments, *, source: Format | None = None) -> CallSettings:
    """The checked values of a call.

    Args:
        source: format of the model; None finds it out.

    Raises:
        ConfigurationError: all problems of the call.
    """
    problems: list[str] = []

    def tried(name: str, make: Callable[[], Any], default: Any) -> Any:
        try:
            return make()
        except TurnkeyError as error:
            problems.append(f"{error.what}: {error.evidence}" if error.evidence else error.what)
        except (TypeError, AttributeError) as error:  # a value of a type that nobody expects
            problems.append(f"{name} is {getattr(given, name, None)!r}: {error}")
        return default

    kind = source or tried("model", lambda: source_format(model), Format.PYTHON)
    is_cpu_only = kind is Format.PYTHON
    device = tried(
        "target_device",
        lambda: (
            member(DeviceKind, given.target_device, what="target_device")
            if given.target_device is not None
            else DeviceKind.CPU
            if is_cpu_only
            else default_device()
        ),
        DeviceKind.CPU,
    )
    targets = tried("target_formats", lambda: targets_of(kind, given.target_formats, model=model), (kind,))
    kinds = tried("runners", lambda: chosen_kinds(given.runners, device), ())
    configs = tried("custom_configs", lambda: configs_by_format(given.custom_configs or ()), {})
    limits = tried("tolerances", lambda: checked_limits(given.tolerances), {})
    workspace = given.workspace
    if not isinstance(workspace, str | PathLike | None):
        problems.append(f"workspace is a {type(workspace).__name__}, not a path")
    if given.profiler_config is not None and given.optimization_profile is not None:
        problems.append("profiler_config and optimization_profile say the same thing; give one of them")
    config, later = given.profiler_config or ProfilerConfig(), given.optimization_profile
    if not isinstance(config, ProfilerConfig):
        problems.append(f"profiler_config is a {type(config).__name__}, not a ProfilerConfig")
        config = ProfilerConfig()
    if isinstance(later, OptimizationProfile):
        config = later.profiler_config()
    elif later is not None:
        problems.append(f"optimization_profile is a {type(later).__name__}, not an OptimizationProfile")
    problems.extend(_type_faults(given))
    if not given.batching and config.batch_sizes is not None and not config.is_as_given:
        problems.append(f"batching=False leaves no batch axis for batch_sizes={config.batch_sizes}")
    if given.effort not in ("quick", "standard", "rigorous"):
        problems.append(f"effort is {given.effort!r}; one of quick, standard, rigorous")
    if given.on_unstable not in ("error", "flag"):
        problems.append(f"on_unstable is {given.on_unstable!r}; error or flag")
    problems.extend(profile_faults(configs, given.input_names))
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
            later=later,
            effort=given.effort,
            on_unstable=given.on_unstable,
            threads=given.threads,
            budget_s=given.budget_s,
        ),
        sample_count=given.sample_count,
        batching=bool(given.batching),
        input_names=None if given.input_names is None else tuple(given.input_names),
        output_names=None if given.output_names is None else tuple(given.output_names),
        limits=limits,
        verify_func=given.verify_func,
        workspace=workspace,
        override_workspace=given.override_workspace,
        verbose=given.verbose,
        debug=given.debug,
    )


def stored_configs(config: Mapping[str, Any], *, defaults: bool) -> list[CustomConfig]:
    """The custom configs that a package stores; with ``defaults`` reset. Unknown ones and unknown fields are left out.

    So is a file named for use instead of an export: a stranger's package must not choose a file of this machine.

    Raises:
        ArtifactError: a value of a type that the field cannot have.
        ConfigurationError: another value that it cannot have.
    """
    found: list[CustomConfig] = []
    for name, fields_of in (config.get("custom_configs") or {}).items():
        kind = CONFIGS.get(name)
        if kind is None:
            continue
        known = {each.name for each in fields(kind)} - {"model_path"}  # type: ignore[arg-type]  # all are dataclasses
        try:
            made = kind.from_dict({key: value for key, value in (fields_of or {}).items() if key in known})
        except (TypeError, KeyError, AttributeError) as error:
            raise ArtifactError(
                f"the custom config {name} of this package cannot be used", evidence=f"{type(error).__name__}: {error}"
            ) from error
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


def _type_faults(given: CallArguments) -> list[str]:
    faults = []
    for name, value in (("sample_count", given.sample_count), ("threads", given.threads)):
        if (value is not None or name == "sample_count") and not _is_count(value):
            faults.append(f"{name} is {value!r}, not a whole number from 1")
    if given.batching not in (True, False, None):
        faults.append(f"batching is {given.batching!r}, not True or False")
    for name, names in (("input_names", given.input_names), ("output_names", given.output_names)):
        is_list = isinstance(names, Sequence) and not isinstance(names, str)
        if names is not None and not (is_list and all(isinstance(each, str) for each in names)):
            faults.append(f"{name} is {names!r}, not a sequence of texts")
        elif names is not None and len(set(names)) != len(names):
            faults.append(f"{name} has a name twice: {names!r}")
    budget = given.budget_s
    if budget is not None and not (_is_number(budget) and 0 < budget < math.inf):
        faults.append(f"budget_s is {budget!r}, not a number of seconds")
    if given.verify_func is not None and not callable(given.verify_func):
        faults.append(f"verify_func is a {type(given.verify_func).__name__}, not a function")
    return faults


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def profile_faults(configs: Mapping[Format, CustomConfigForFormat], names: Sequence[str] | None) -> list[str]:
    """TensorRT profiles that contradict the inputs, the axes that the ONNX file leaves free, or themselves.

    Args:
        names: of the inputs; None where the samples are not read yet.
    """
    faults = []
    onnx = configs.get(Format.ONNX)
    free = onnx.dynamic_axes if isinstance(onnx, OnnxConfig) else None
    for config in configs.values():
        if not isinstance(config, TensorRTConfig | TorchTensorRTConfig) or not config.trt_profile:
            continue
        profile = config.trt_profile
        if names is not None and set(profile) != set(names):
            faults.append(f"the profile of {config.name()} has inputs {sorted(profile)}, the model {sorted(names)}")
        batches = {(shapes.min[0], shapes.opt[0], shapes.max[0]) for shapes in profile.values() if shapes.min}
        if len(batches) > 1:
            faults.append(f"the profile of {config.name()} has several batch ranges: {sorted(batches)}")
        if free is not None and isinstance(config, TensorRTConfig):
            fixed = [
                f"{name}, axis {axis}"
                for name, shapes in profile.items()
                for axis, (low, high) in enumerate(zip(shapes.min, shapes.max, strict=True))
                if low != high and axis not in free.get(name, ())
            ]
            if fixed:
                faults.append(f"the profile of {config.name()} varies what dynamic_axes fixes: {'; '.join(fixed)}")
    return faults
