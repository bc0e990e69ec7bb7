"""The Navigator door: ``import turnkey.navigator as nav`` in place of ``import model_navigator as nav``.

    package = nav.torch.optimize(model, dataloader)
    with package.get_runner() as runner:
        outputs = runner.infer({"input__0": array})

Every name is loaded when it is first used, and importing changes nothing: no logging, no seeds, no start method.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

_MODULES = (
    "jax",
    "onnx",
    "python",
    "tensorflow",
    "torch",
    "api",
    "bundle",
    "exceptions",
    "package",
    "pytriton",
    "strategy",
    "triton",
)
_PLACES = {
    "CommandStatus": "status",
    "CustomConfig": "custom_config",
    "CustomConfigForFormat": "custom_config",
    "DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD": "profiler_config",
    "DeviceKind": "format",
    "Format": "format",
    "JitType": "format",
    "MaxThroughputAndMinLatencyStrategy": "strategy",
    "MaxThroughputStrategy": "strategy",
    "MaxThroughputWithLatencyBudgetStrategy": "strategy",
    "MeasurementMode": "profiler_config",
    "MinLatencyStrategy": "strategy",
    "Module": "inplace",
    "NavigatorRunner": "runner",
    "OnnxConfig": "format_configs",
    "OptimizationProfile": "optimization_profile",
    "OptimizeConfig": "inplace_settings",
    "Package": "package_result",
    "ParetoStrategy": "strategy",
    "ProfilerConfig": "profiler_config",
    "Recipe": "recipe",
    "Sample": "turnkey.model.samples",
    "SelectedRuntimeStrategy": "strategy",
    "SizedDataLoader": "dataloader",
    "SizedIterable": "dataloader",
    "TensorRTConfig": "format_configs",
    "TensorRTPrecision": "format",
    "TensorRTPrecisionMode": "format",
    "TensorRTProfile": "tensorrt_profile",
    "TensorType": "runner",
    "TorchConfig": "format_configs",
    "TorchExportConfig": "format_configs",
    "TorchScriptConfig": "format_configs",
    "TorchTensorRTConfig": "format_configs",
    "VerifyFunction": "dataloader",
    "WithinAccuracyStrategy": "strategy",
    "WithinMemoryStrategy": "strategy",
    "WithinSizeStrategy": "strategy",
    "inplace_config": "inplace_settings",
    "load_optimized": "inplace",
    "module": "inplace",
    "optimize": "inplace",
    "profile": "inplace_profile",
    "read_recipe": "recipe",
    "recipe_of": "recipe",
    "register_runner": "runner_adapter",
}

__all__ = sorted([*_MODULES, *_PLACES])


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f"{__name__}.{name}")
    place = _PLACES.get(name, "")
    if not place:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = place if place.startswith("turnkey.") else f"{__name__}.{place}"
    return getattr(import_module(home), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
