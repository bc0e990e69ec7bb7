"""Parts that every model configuration has: tensors, instances, warm-up requests. Checked when they are made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from turnkey.navigator.exceptions import WrongParameterError
from turnkey.navigator.triton.text import Enumerator, map_of

_TYPES = {
    "bool": "BOOL",
    "uint8": "UINT8",
    "uint16": "UINT16",
    "uint32": "UINT32",
    "uint64": "UINT64",
    "int8": "INT8",
    "int16": "INT16",
    "int32": "INT32",
    "int64": "INT64",
    "float16": "FP16",
    "float32": "FP32",
    "float64": "FP64",
    "bfloat16": "BF16",
}


def data_type(dtype: Any) -> Enumerator:
    """Triton's type of a numpy dtype or its name; texts are strings.

    Raises:
        WrongParameterError: Triton has no such type.
    """
    name = dtype if isinstance(dtype, str) else np.dtype(dtype).name
    if name in _TYPES:
        return Enumerator(f"TYPE_{_TYPES[name]}")
    if name == "object" or name.startswith(("str", "bytes", "<U", "|S")) or name in ("O", "U", "S"):
        return Enumerator("TYPE_STRING")
    raise WrongParameterError(f"Triton has no tensors of type {name}", evidence=f"it has: {', '.join(_TYPES)}, string")


def whole(name: str, value: Any, *, least: int = 0) -> None:
    """Refuse what is no whole number from ``least``. Raises WrongParameterError."""
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise WrongParameterError(f"{name} must be a whole number from {least}", evidence=f"{name}={value!r}")


def tensor_name(name: Any) -> None:
    """Refuse what is no name. Raises WrongParameterError."""
    if not isinstance(name, str) or not name:
        raise WrongParameterError("a tensor needs a name", evidence=repr(name))


class DeviceKind(Enum):
    """Where instances run."""

    KIND_AUTO = "KIND_AUTO"
    KIND_CPU = "KIND_CPU"
    KIND_GPU = "KIND_GPU"
    KIND_MODEL = "KIND_MODEL"


@dataclass(frozen=True, kw_only=True)
class _TensorSpec:
    """A tensor without its batch axis.

    Attributes:
        shape: −1 stands for any extent.
        reshape: shape that the model takes instead of the one that clients see.
    """

    name: str
    shape: tuple[int, ...]
    dtype: Any
    reshape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        tensor_name(self.name)
        data_type(self.dtype)
        object.__setattr__(self, "shape", tuple(self.shape))
        for extent in self.shape:
            whole(f"an extent of {self.name}", extent, least=-1)
            if extent == 0:
                raise WrongParameterError(f"{self.name} has an extent of 0", evidence=str(list(self.shape)))

    def to_message(self) -> dict[str, Any]:
        """The tensor as a message."""
        reshape = None if self.reshape is None else {"shape": list(self.reshape)}
        return {
            "name": self.name,
            "data_type": data_type(self.dtype),
            "dims": list(self.shape),
            "reshape": reshape,
        }


@dataclass(frozen=True, kw_only=True)
class InputTensorSpec(_TensorSpec):
    """An input; ``optional`` ones may be left out of requests."""

    optional: bool = False
    format: str | None = None
    allow_ragged_batch: bool = False

    def to_message(self) -> dict[str, Any]:
        return {
            **super().to_message(),
            "format": None if self.format is None else Enumerator(self.format),
            "allow_ragged_batch": self.allow_ragged_batch or None,
            "optional": self.optional or None,
        }


@dataclass(frozen=True, kw_only=True)
class OutputTensorSpec(_TensorSpec):
    """An output; ``label_filename`` names classes for classification requests."""

    label_filename: str | None = None

    def to_message(self) -> dict[str, Any]:
        return {**super().to_message(), "label_filename": self.label_filename}


@dataclass(frozen=True, kw_only=True)
class InstanceGroup:
    """How many instances of a model run, and where."""

    kind: DeviceKind | None = None
    count: int | None = None
    name: str | None = None
    gpus: Sequence[int] = ()
    passive: bool = False
    host_policy: str | None = None
    profile: Sequence[str] = ()

    def __post_init__(self) -> None:
        if self.count is not None:
            whole("count", self.count, least=1)
        for gpu in self.gpus:
            whole("a GPU", gpu)
        if self.gpus and self.kind is DeviceKind.KIND_CPU:
            raise WrongParameterError("instances on the processor have no GPUs", evidence=f"gpus={list(self.gpus)}")

    def to_message(self) -> dict[str, Any]:
        """The group as a message."""
        return {
            "name": self.name,
            "kind": None if self.kind is None else Enumerator(self.kind.value),
            "count": self.count,
            "gpus": list(self.gpus),
            "profile": list(self.profile),
            "passive": self.passive or None,
            "host_policy": self.host_policy,
        }


class ModelWarmupInputDataType(Enum):
    """What a warm-up request is filled with."""

    ZERO = "ZERO"
    RANDOM = "RANDOM"


@dataclass(frozen=True, kw_only=True)
class ModelWarmupInput:
    """One input of a warm-up request: zeros, random values, or the content of a file in the version folder."""

    shape: tuple[int, ...]
    dtype: Any
    input_data_type: ModelWarmupInputDataType = ModelWarmupInputDataType.ZERO
    input_data_file: str | None = None

    def __post_init__(self) -> None:
        data_type(self.dtype)
        for extent in self.shape:
            whole("an extent of a warm-up input", extent, least=1)
        if self.input_data_file is not None:
            file_name(self.input_data_file)

    def to_message(self) -> dict[str, Any]:
        """The input as a message."""
        fill: dict[str, Any] = {"input_data_file": self.input_data_file}
        if self.input_data_file is None:
            is_zero = self.input_data_type is ModelWarmupInputDataType.ZERO
            fill = {"zero_data": True} if is_zero else {"random_data": True}
        return {"data_type": data_type(self.dtype), "dims": list(self.shape), **fill}


@dataclass(frozen=True, kw_only=True)
class ModelWarmup:
    """Requests that the server sends itself before it says that the model is ready."""

    inputs: Mapping[str, ModelWarmupInput] = field(default_factory=dict)
    batch_size: int = 1
    iterations: int = 0

    def __post_init__(self) -> None:
        whole("batch_size", self.batch_size)
        whole("iterations", self.iterations)

    def to_message(self, name: str) -> dict[str, Any]:
        """The request as a message of that name."""
        return {
            "name": name,
            "batch_size": self.batch_size,
            "inputs": map_of({key: each.to_message() for key, each in self.inputs.items()}),
            "count": self.iterations or None,
        }


def file_name(name: str) -> None:
    """Refuse a name that leads out of the folder. Raises WrongParameterError."""
    pure = PurePosixPath(name)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise WrongParameterError("a file of a model lies in its own folder", evidence=repr(name))
