"""Framework independent definitions and enumerations, under the names of the Common API page."""

from __future__ import annotations

from turnkey.model.samples import Sample
from turnkey.navigator.custom_config import CustomConfig, CustomConfigForFormat
from turnkey.navigator.dataloader import SizedDataLoader, SizedIterable, VerifyFunction
from turnkey.navigator.format import (
    DeviceKind,
    Format,
    JitType,
    TensorRTPrecision,
    TensorRTPrecisionMode,
)
from turnkey.navigator.format_configs import (
    OnnxConfig,
    TensorRTConfig,
    TorchConfig,
    TorchExportConfig,
    TorchScriptConfig,
    TorchTensorRTConfig,
)
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profiler_config import (
    DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD,
    MeasurementMode,
    ProfilerConfig,
)
from turnkey.navigator.tensorrt_profile import ShapeRange as ShapeTuple
from turnkey.navigator.tensorrt_profile import TensorRTProfile

__all__ = [
    "DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD",
    "CustomConfig",
    "CustomConfigForFormat",
    "DeviceKind",
    "Format",
    "JitType",
    "MeasurementMode",
    "OnnxConfig",
    "OptimizationProfile",
    "ProfilerConfig",
    "Sample",
    "ShapeTuple",
    "SizedDataLoader",
    "SizedIterable",
    "TensorRTConfig",
    "TensorRTPrecision",
    "TensorRTPrecisionMode",
    "TensorRTProfile",
    "TorchConfig",
    "TorchExportConfig",
    "TorchScriptConfig",
    "TorchTensorRTConfig",
    "VerifyFunction",
]
