"""Configurations per backend, and the ``config.pbtxt`` that they become."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, ClassVar

from turnkey.navigator.exceptions import WrongParameterError
from turnkey.navigator.triton.batching import DynamicBatcher, SequenceBatcher
from turnkey.navigator.triton.optimization import OpenVINOAccelerator, TensorRTAccelerator, TensorRTOptimization
from turnkey.navigator.triton.parts import InputTensorSpec, InstanceGroup, ModelWarmup, OutputTensorSpec, whole
from turnkey.navigator.triton.text import dump, map_of


class Backend(Enum):
    ONNXRUNTIME = "onnxruntime"
    TENSORRT = "tensorrt"
    PYTORCH = "pytorch"
    PYTHON = "python"
    TENSORFLOW = "tensorflow"


class Platform(Enum):
    ONNXRuntimeONNX = "onnxruntime_onnx"
    TensorRTPlan = "tensorrt_plan"
    PyTorchLibtorch = "pytorch_libtorch"
    TensorFlowSavedModel = "tensorflow_savedmodel"
    TensorFlowGraphDef = "tensorflow_graphdef"


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What all backends share.

    Attributes:
        max_batch_size: largest batch that the server makes; not written as is where ``batching`` is False.
        batching: whether the model has a batch axis; False writes ``max_batch_size: 0``.
        parameters: texts for the backend.
        warmup: requests by name.
        platform: wins over the backend.
    """

    max_batch_size: int = 4
    batching: bool = True
    batcher: DynamicBatcher | SequenceBatcher | None = field(default_factory=DynamicBatcher)
    instance_groups: Sequence[InstanceGroup] = ()
    parameters: Mapping[str, str] = field(default_factory=dict)
    response_cache: bool = False
    inputs: Sequence[InputTensorSpec] = ()
    outputs: Sequence[OutputTensorSpec] = ()
    warmup: Mapping[str, ModelWarmup] = field(default_factory=dict)
    platform: Platform | None = None

    backend: ClassVar[Backend]
    file_name: ClassVar[str]
    needs_tensors: ClassVar[bool] = False

    def __post_init__(self) -> None:
        whole("max_batch_size", self.max_batch_size, least=1)
        if self.needs_tensors and not (self.inputs and self.outputs):
            raise WrongParameterError(
                f"a {self.backend.value} model needs its inputs and outputs named",
                evidence=f"{len(self.inputs)} inputs, {len(self.outputs)} outputs",
            )
        for what, tensors in (("inputs", self.inputs), ("outputs", self.outputs)):
            names = [each.name for each in tensors]
            if len(set(names)) != len(names):
                raise WrongParameterError(f"two {what} have one name", evidence=", ".join(names))
        for key, value in self.parameters.items():
            if not isinstance(key, str) or not isinstance(value, str):
                raise WrongParameterError("parameters are texts", evidence=f"{key!r}: {value!r}")

    def optimization_message(self) -> dict[str, Any] | None:
        """``optimization`` of the message; None without any."""
        return None

    def to_pbtxt(self, name: str) -> str:
        """The text of ``config.pbtxt`` for a model of that name."""
        batcher: dict[str, Any] = {}
        if isinstance(self.batcher, SequenceBatcher):
            batcher = {"sequence_batching": self.batcher.to_message()}
        elif self.batcher is not None and self.batching:
            batcher = {"dynamic_batching": self.batcher.to_message()}
        engine = {"backend": self.backend.value} if self.platform is None else {"platform": self.platform.value}
        return dump(
            {
                "name": name,
                **engine,
                "max_batch_size": self.max_batch_size if self.batching else 0,
                "input": [each.to_message() for each in self.inputs],
                "output": [each.to_message() for each in self.outputs],
                **batcher,
                "instance_group": [each.to_message() for each in self.instance_groups],
                "parameters": map_of({key: {"string_value": text} for key, text in self.parameters.items()}),
                "optimization": self.optimization_message(),
                "response_cache": {"enable": True} if self.response_cache else None,
                "model_warmup": [each.to_message(key) for key, each in self.warmup.items()],
            }
        )


@dataclass(frozen=True, kw_only=True)
class ONNXModelConfig(ModelConfig):
    """ONNX files, executed by ONNX Runtime."""

    optimization: TensorRTAccelerator | OpenVINOAccelerator | None = None

    backend: ClassVar[Backend] = Backend.ONNXRUNTIME
    file_name: ClassVar[str] = "model.onnx"

    def optimization_message(self) -> dict[str, Any] | None:
        return None if self.optimization is None else self.optimization.to_message()


@dataclass(frozen=True, kw_only=True)
class TensorRTModelConfig(ModelConfig):
    """TensorRT engines."""

    optimization: TensorRTOptimization | None = None

    backend: ClassVar[Backend] = Backend.TENSORRT
    file_name: ClassVar[str] = "model.plan"

    def optimization_message(self) -> dict[str, Any] | None:
        return None if self.optimization is None else self.optimization.to_message()


@dataclass(frozen=True, kw_only=True)
class PyTorchModelConfig(ModelConfig):
    """TorchScript files, executed by LibTorch."""

    backend: ClassVar[Backend] = Backend.PYTORCH
    file_name: ClassVar[str] = "model.pt"
    needs_tensors: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class PythonModelConfig(ModelConfig):
    """A ``model.py`` for the Python backend."""

    backend: ClassVar[Backend] = Backend.PYTHON
    file_name: ClassVar[str] = "model.py"
    needs_tensors: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class TensorFlowModelConfig(ModelConfig):
    """SavedModel directories."""

    optimization: TensorRTAccelerator | None = None

    backend: ClassVar[Backend] = Backend.TENSORFLOW
    file_name: ClassVar[str] = "model.savedmodel"

    def optimization_message(self) -> dict[str, Any] | None:
        return None if self.optimization is None else self.optimization.to_message()
