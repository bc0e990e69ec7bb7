"""``nav.triton``: model repositories for Triton Inference Server, written without any of its libraries."""

from __future__ import annotations

import turnkey.navigator.triton.model_repository as model_repository
from turnkey.navigator.triton.batching import (
    DynamicBatcher,
    QueuePolicy,
    SequenceBatcher,
    SequenceBatcherControl,
    SequenceBatcherControlInput,
    SequenceBatcherControlKind,
    SequenceBatcherInitialState,
    SequenceBatcherState,
    SequenceBatcherStrategyDirect,
    SequenceBatcherStrategyOldest,
    TimeoutAction,
)
from turnkey.navigator.triton.model_config import (
    Backend,
    ModelConfig,
    ONNXModelConfig,
    Platform,
    PythonModelConfig,
    PyTorchModelConfig,
    TensorFlowModelConfig,
    TensorRTModelConfig,
)
from turnkey.navigator.triton.optimization import (
    OpenVINOAccelerator,
    TensorRTAccelerator,
    TensorRTAccelPrecision,
    TensorRTOptimization,
)
from turnkey.navigator.triton.parts import (
    DeviceKind,
    InputTensorSpec,
    InstanceGroup,
    ModelWarmup,
    ModelWarmupInput,
    ModelWarmupInputDataType,
    OutputTensorSpec,
)

__all__ = [
    "Backend",
    "DeviceKind",
    "DynamicBatcher",
    "InputTensorSpec",
    "InstanceGroup",
    "ModelConfig",
    "ModelWarmup",
    "ModelWarmupInput",
    "ModelWarmupInputDataType",
    "ONNXModelConfig",
    "OpenVINOAccelerator",
    "OutputTensorSpec",
    "Platform",
    "PyTorchModelConfig",
    "PythonModelConfig",
    "QueuePolicy",
    "SequenceBatcher",
    "SequenceBatcherControl",
    "SequenceBatcherControlInput",
    "SequenceBatcherControlKind",
    "SequenceBatcherInitialState",
    "SequenceBatcherState",
    "SequenceBatcherStrategyDirect",
    "SequenceBatcherStrategyOldest",
    "TensorFlowModelConfig",
    "TensorRTAccelPrecision",
    "TensorRTAccelerator",
    "TensorRTModelConfig",
    "TensorRTOptimization",
    "TimeoutAction",
    "model_repository",
]
