"""The configurations per format. Every tuple multiplies the models made: one for each combination of values.

All documented fields are here, so that a call of the original is a call of ours and its packages load. Those that say
"stored, without effect" change nothing; setting one of them is a warning.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from turnkey.navigator.custom_config import CustomConfigForFormat
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import Format, JitType, TensorRTPrecision, TensorRTPrecisionMode, member, members
from turnkey.navigator.tensorrt_profile import TensorRTProfile

_JIT = (JitType.SCRIPT, JitType.TRACE)
_PRECISIONS = (TensorRTPrecision.FP32, TensorRTPrecision.FP16)
DEFAULT_MAX_WORKSPACE_SIZE = 8 << 30
DEFAULT_ONNX_OPSET = 17


class _Defaulted(CustomConfigForFormat):
    """Gives `defaults` to the dataclasses below: every field as a fresh object has it."""

    def defaults(self) -> None:
        """Update parameters to defaults."""
        for field in fields(self):  # type: ignore[arg-type]  # every subclass is a dataclass
            if field.default is not MISSING:
                setattr(self, field.name, field.default)


@dataclass
class TorchConfig(_Defaulted):
    """How the source model itself is run.

    Attributes:
        autocast, autocast_dtype, inference_mode: stored, without effect: the source runs in its own precision, and
            under `torch.inference_mode`.
        jit_type: deprecated: of an older version, where it configured TorchScript; creates a `TorchScriptConfig`.
    """

    autocast: bool = False
    autocast_dtype: Any = None
    inference_mode: bool = True
    jit_type: Any = None

    @classmethod
    def name(cls) -> str:
        return "Torch"

    @property
    def format(self) -> Format:
        return Format.TORCH

    def implied(self) -> TorchScriptConfig | None:
        """What the older field asks for; None if it is not used."""
        return None if self.jit_type is None else TorchScriptConfig(jit_type=self.jit_type)


@dataclass
class TorchScriptConfig(_Defaulted):
    """Export to TorchScript by scripting, tracing, or both as two models.

    Attributes:
        jit_type: script, trace, or both.
        strict: of tracing: refuse containers that tracing would freeze.
        autocast, autocast_dtype, inference_mode: stored, without effect.
    """

    jit_type: Any = _JIT
    strict: bool = True
    autocast: bool = False
    autocast_dtype: Any = None
    inference_mode: bool = True

    def __post_init__(self) -> None:
        self.jit_type = members(JitType, self.jit_type, what="jit_type")

    @classmethod
    def name(cls) -> str:
        return "TorchScript"

    @property
    def format(self) -> Format:
        return Format.TORCHSCRIPT


@dataclass
class TorchExportConfig(_Defaulted):
    """Export by `torch.export`.

    Attributes:
        autocast, autocast_dtype, inference_mode: stored, without effect.
        dynamic_shapes: stored, without effect: free axes are inferred from the samples.
    """

    autocast: bool = False
    autocast_dtype: Any = None
    inference_mode: bool = True
    dynamic_shapes: Any = None

    @classmethod
    def name(cls) -> str:
        return "TorchExportedProgram"

    @property
    def format(self) -> Format:
        return Format.TORCH_EXPORTEDPROGRAM


@dataclass
class OnnxConfig(_Defaulted):
    """Export to ONNX.

    Attributes:
        opset: of the standard operators.
        dynamic_axes: input name to its axes (a list, or axis to name); None is inferred from the samples.
        onnx_extended_conversion: also export what is already exported (TorchScript) to ONNX.
        graph_surgeon_optimization, export_device: stored, without effect.
        model_path: a file to use instead of exporting.
    """

    opset: int = DEFAULT_ONNX_OPSET
    dynamic_axes: Mapping[str, Any] | None = None
    onnx_extended_conversion: bool = False
    graph_surgeon_optimization: bool = True
    export_device: str | None = None
    model_path: str | Path | None = None

    def __post_init__(self) -> None:
        if isinstance(self.opset, bool) or not isinstance(self.opset, int) or self.opset < 7:
            raise ConfigurationError("opset must be a whole number from 7", evidence=f"opset={self.opset!r}")

    @classmethod
    def name(cls) -> str:
        return "Onnx"

    @property
    def format(self) -> Format:
        return Format.ONNX


@dataclass
class _Engine(_Defaulted):
    """What both builders of TensorRT engines take.

    Attributes:
        precision: one engine for each; fp32 and fp16 can be built.
        precision_mode: stored, without effect: a builder may use the precision and float32.
        trt_profile: its largest batch bounds the engine; the other extents are inferred from the samples.
        max_workspace_size: bytes.
    """

    precision: Any = _PRECISIONS
    precision_mode: Any = TensorRTPrecisionMode.HIERARCHY
    trt_profile: TensorRTProfile | None = None
    max_workspace_size: int | None = DEFAULT_MAX_WORKSPACE_SIZE

    def __post_init__(self) -> None:
        self.precision = members(TensorRTPrecision, self.precision, what="precision")
        self.precision_mode = member(TensorRTPrecisionMode, self.precision_mode, what="precision_mode")
        if isinstance(self.trt_profile, Mapping) and not isinstance(self.trt_profile, TensorRTProfile):
            self.trt_profile = TensorRTProfile.from_dict(self.trt_profile)


@dataclass
class TorchTensorRTConfig(_Engine):
    """Compile by Torch-TensorRT."""

    @classmethod
    def name(cls) -> str:
        return "TorchTensorRT"

    @property
    def format(self) -> Format:
        return Format.TORCH_TRT


@dataclass
class TensorRTConfig(_Engine):
    """Build a TensorRT engine from ONNX.

    Attributes:
        optimization_level: 0 (fast build) to 5 (fast engine); None is TensorRT's own.
        compatibility_level, timing_cache_dir: stored, without effect: an engine is for this kind of GPU, and its
            tactics are timed anew.
        model_path: an engine to use instead of building one.
    """

    optimization_level: int | None = None
    compatibility_level: Any = None
    timing_cache_dir: str | Path | None = None
    model_path: str | Path | None = None

    @classmethod
    def name(cls) -> str:
        return "TensorRT"

    @property
    def format(self) -> Format:
        return Format.TENSORRT


CONFIGS: dict[str, type[CustomConfigForFormat]] = {
    config.name(): config
    for config in (
        TorchConfig,
        TorchScriptConfig,
        TorchExportConfig,
        TorchTensorRTConfig,
        OnnxConfig,
        TensorRTConfig,
    )
}
"""Those that a package stores, by name."""
