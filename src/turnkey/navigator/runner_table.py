"""Runners by their documented names: a runtime on a device, for models of one format."""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.format import DeviceKind, Format
from turnkey.plugins import PluginTable
from turnkey.runtimes import RUNTIMES, Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerKind:
    """One runner.

    Attributes:
        name: ``OnnxCPU``.
        format: of the models that it runs.
        runtime: name of the runtime behind it.
        device: on which it runs.
        options: of the runtime.
        is_default: whether it runs where the caller names no runners.
        place: ``module:class`` of a registered runner class; empty for those of the table.
        runs_anywhere: whether the device is the model's own affair: a callable computes where it likes.
    """

    name: str
    format: Format
    runtime: str
    device: DeviceKind = DeviceKind.CPU
    options: Mapping[str, Any] = field(default_factory=dict)
    is_default: bool = True
    place: str = ""
    runs_anywhere: bool = False

    def is_for(self, device: DeviceKind) -> bool:
        """Whether it is one of a device's runners."""
        return self.runs_anywhere or self.device is device


def _pair(name: str, format: Format, runtime: str, **fields: Any) -> tuple[RunnerKind, RunnerKind]:
    """The runner on the processor and on the GPU."""
    return (
        RunnerKind(name=f"{name}CPU", format=format, runtime=runtime, **fields),
        RunnerKind(name=f"{name}CUDA", format=format, runtime=runtime, device=DeviceKind.CUDA, **fields),
    )


_TABLE = (
    RunnerKind(name="PythonRunner", format=Format.PYTHON, runtime="python", runs_anywhere=True),
    *_pair("Torch", Format.TORCH, "torch"),
    *_pair("TorchCompile", Format.TORCH, "torch-compile"),
    *_pair("TorchScript", Format.TORCHSCRIPT, "torchscript"),
    *_pair("TorchExportedProgram", Format.TORCH_EXPORTEDPROGRAM, "torch-exportedprogram"),
    *_pair("Onnx", Format.ONNX, "onnxruntime"),
    RunnerKind(
        name="OnnxTensorRT",
        format=Format.ONNX,
        runtime="onnxruntime",
        device=DeviceKind.CUDA,
        options={"provider": "Tensorrt"},
    ),
    RunnerKind(name="JaxCPU", format=Format.STABLEHLO, runtime="jax"),
    RunnerKind(name="OnnxOpenVINO", format=Format.ONNX, runtime="openvino", is_default=False),
    RunnerKind(name="OpenVINO", format=Format.OPENVINO, runtime="openvino"),
    RunnerKind(name="AOTInductor", format=Format.TORCH_AOTI, runtime="torch-aoti"),
    RunnerKind(name="TorchTensorRT", format=Format.TORCH_TRT, runtime="torch-tensorrt", device=DeviceKind.CUDA),
    RunnerKind(name="TensorRT", format=Format.TENSORRT, runtime="tensorrt-engine", device=DeviceKind.CUDA),
    RunnerKind(
        name="TensorRTCUDAGraph",
        format=Format.TENSORRT,
        runtime="tensorrt-engine",
        device=DeviceKind.CUDA,
        options={"cuda_graph": True},
        is_default=False,
    ),
)
_registered: dict[str, RunnerKind] = {}
_PLUGINS = PluginTable(group="turnkey.runners", noun="runner", builtin={})
_broken: set[str] = set()


def runner_kinds() -> dict[str, RunnerKind]:
    """All runners by name: the table's, those that were registered, then those of installed plug-ins."""
    found = {**{kind.name: kind for kind in _TABLE}, **_registered}
    for name in _PLUGINS.names():
        if name not in _broken and (kind := _of_plugin(name)) is not None:
            found.setdefault(kind.name, kind)
    return found


def kind_of(cls: Any) -> RunnerKind:
    """A runner class as an entry of the table."""
    devices = cls.devices_kind()
    return RunnerKind(
        name=cls.name(),
        format=cls.format(),
        runtime=cls.name(),
        device=devices[0] if devices else DeviceKind.CPU,
        place=f"{cls.__module__}:{cls.__qualname__}",
    )


def _of_plugin(name: str) -> RunnerKind | None:
    """The runner of an entry point; one that cannot be used is said once and left out."""
    try:
        return kind_of(_PLUGINS.load(name))
    except Exception as error:  # noqa: BLE001 - a third party's class raises what it likes
        _broken.add(name)
        message = f"the runner {name} of an installed plug-in cannot be used: {type(error).__name__}: {error}"
        warnings.warn(message, ConfigurationWarning, stacklevel=3)
        return None


def add_kind(kind: RunnerKind) -> None:
    """Register a runner. Raises ValueError on a name that is taken."""
    if kind.name in runner_kinds():
        raise ValueError(f"there is a runner {kind.name!r} already")
    _registered[kind.name] = kind


def remove_kind(name: str) -> None:
    """Take a registered runner back."""
    del _registered[name]


def runner_kind(name: str) -> RunnerKind:
    """The runner of that name. Raises ConfigurationError for an unknown one."""
    kinds = runner_kinds()
    if name not in kinds:
        raise ConfigurationError(f"there is no runner {name!r}", evidence=f"known: {', '.join(kinds)}")
    return kinds[name]


def chosen_kinds(given: Iterable[Any] | None, device: DeviceKind) -> tuple[RunnerKind, ...]:
    """The runners of a call: the named ones (names or classes), else the default ones of the device.

    Raises:
        ConfigurationError: an unknown runner, or none that fits the device.
    """
    if given is None:
        return tuple(kind for kind in runner_kinds().values() if kind.is_for(device) and kind.is_default)
    names = [given] if isinstance(given, str) else list(given)
    kinds = tuple(runner_kind(each if isinstance(each, str) else each.name()) for each in names)
    unfit = [kind.name for kind in kinds if not kind.is_for(device)]
    if unfit or not kinds:
        raise ConfigurationError(
            f"the runners {', '.join(unfit) or '(none)'} do not run on {device.value}",
            evidence=f"runners of {device.value}: {', '.join(k.name for k in chosen_kinds(None, device))}",
            remedy="target_device=nav.DeviceKind.CUDA   # or other runners",
        )
    return kinds


def obstacle(kind: RunnerKind) -> str:
    """Why a runner cannot run here, with the install command; empty if it can."""
    if kind.place:
        return ""
    if kind.runtime not in RUNTIMES.names():
        return f"this Turnkey has no runtime {kind.runtime}"
    try:
        runtime: Runtime = RUNTIMES.load(kind.runtime)
    except TurnkeyError as error:
        return str(error)
    missing = [name for name in runtime.requires if _is_missing(name)]
    if missing:
        return f"{kind.runtime} needs {', '.join(missing)}: {runtime.install}"
    if kind.device is DeviceKind.CUDA and not cuda_usable():
        return "no CUDA device is usable here"
    if kind.options.get("provider") == "Tensorrt":
        import onnxruntime

        if "TensorrtExecutionProvider" not in onnxruntime.get_available_providers():
            return "onnxruntime has no TensorRT provider here: pip install onnxruntime-gpu tensorrt"
    return ""


def default_device() -> DeviceKind:
    """CUDA if it is usable, else the processor."""
    return DeviceKind.CUDA if cuda_usable() else DeviceKind.CPU


def cuda_usable() -> bool:
    """Whether torch sees a CUDA device."""
    import torch

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a driver that is too old is a device that is not there
        return bool(torch.cuda.is_available())


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:  # the parent of a dotted name
        return True
