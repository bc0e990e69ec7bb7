"""What a backend does to make a model faster."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from turnkey.navigator.exceptions import WrongParameterError
from turnkey.navigator.triton.parts import whole
from turnkey.navigator.triton.text import map_of

_MIB = 1 << 20


class TensorRTAccelPrecision(Enum):
    PRECISION_FP32 = "FP32"
    PRECISION_FP16 = "FP16"


@dataclass(frozen=True, kw_only=True)
class TensorRTAccelerator:
    """ONNX Runtime's TensorRT provider. ``max_workspace_size`` in MiB."""

    precision: TensorRTAccelPrecision = TensorRTAccelPrecision.PRECISION_FP32
    max_workspace_size: int | None = None
    max_cached_engines: int | None = None
    minimum_segment_size: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_workspace_size", "max_cached_engines", "minimum_segment_size"):
            if getattr(self, name) is not None:
                whole(name, getattr(self, name), least=1)

    def to_message(self) -> dict[str, Any]:
        """As ``optimization`` of a model."""
        given = {
            "precision_mode": self.precision.value,
            "max_workspace_size_bytes": None if self.max_workspace_size is None else self.max_workspace_size * _MIB,
            "max_cached_engines": self.max_cached_engines,
            "minimum_segment_size": self.minimum_segment_size,
        }
        parameters = {name: str(value) for name, value in given.items() if value is not None}
        entry = {"name": "tensorrt", "parameters": map_of(parameters)}
        return {"execution_accelerators": {"gpu_execution_accelerator": [entry]}}


@dataclass(frozen=True, kw_only=True)
class OpenVINOAccelerator:
    """ONNX Runtime's OpenVINO provider."""

    def to_message(self) -> dict[str, Any]:
        """As ``optimization`` of a model."""
        return {"execution_accelerators": {"cpu_execution_accelerator": [{"name": "openvino"}]}}


@dataclass(frozen=True, kw_only=True)
class TensorRTOptimization:
    """Of TensorRT models; at least one of them."""

    cuda_graphs: bool = False
    gather_kernel_buffer_threshold: int | None = None
    eager_batching: bool = False

    def __post_init__(self) -> None:
        if not self.cuda_graphs and not self.eager_batching and self.gather_kernel_buffer_threshold is None:
            raise WrongParameterError("an optimisation needs at least one of its options")
        if self.gather_kernel_buffer_threshold is not None:
            whole("gather_kernel_buffer_threshold", self.gather_kernel_buffer_threshold)

    def to_message(self) -> dict[str, Any]:
        """As ``optimization`` of a model: what is not asked for is not written."""
        return {
            "cuda": {"graphs": True} if self.cuda_graphs else None,
            "gather_kernel_buffer_threshold": self.gather_kernel_buffer_threshold,
            "eager_batching": True if self.eager_batching else None,
        }
