"""Formats, devices and the closed sets of the per-format configurations; values are stored in files."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from typing import Any, TypeVar

from turnkey.navigator.exceptions import ConfigurationError

E = TypeVar("E", bound=Enum)


class Format(Enum):
    """All model formats supported by `optimize`.

    ``tensorflow``, ``tf-trt`` and ``jax`` exist so that packages of others load; functions of these frameworks are
    optimised as Python callables (``python``), and stored as ``tf-savedmodel`` and ``stablehlo``.
    """

    PYTHON = "python"
    TORCH = "torch"
    TENSORFLOW = "tensorflow"
    JAX = "jax"
    STABLEHLO = "stablehlo"
    TORCHSCRIPT = "torchscript"
    TORCH_EXPORTEDPROGRAM = "torch-exportedprogram"
    TORCH_AOTI = "torch-aoti"
    TF_SAVEDMODEL = "tf-savedmodel"
    TF_TRT = "tf-trt"
    TORCH_TRT = "torch-trt"
    ONNX = "onnx"
    OPENVINO = "openvino"
    TENSORRT = "trt"

    @property
    def suffix(self) -> str:
        """Of the model's file; empty for a source that lives in memory."""
        return _SUFFIXES.get(self, "")

    @property
    def is_source(self) -> bool:
        """Whether it is never a file: the placeholder ``----`` stands in its path."""
        return self in (Format.PYTHON, Format.TORCH, Format.TENSORFLOW, Format.JAX)


_SUFFIXES = {
    Format.TORCHSCRIPT: ".pt",
    Format.TORCH_EXPORTEDPROGRAM: ".pt2",
    Format.TORCH_AOTI: ".pt2",
    Format.TF_SAVEDMODEL: ".savedmodel",
    Format.TF_TRT: ".savedmodel",
    Format.TORCH_TRT: ".ep",
    Format.STABLEHLO: ".stablehlo",
    Format.ONNX: ".onnx",
    Format.OPENVINO: ".xml",
    Format.TENSORRT: ".plan",
}


class DeviceKind(Enum):
    CPU = "cpu"
    CUDA = "cuda"


class JitType(Enum):
    SCRIPT = "script"
    TRACE = "trace"


class TensorRTPrecision(Enum):
    INT8 = "int8"
    FP8 = "fp8"
    BF16 = "bf16"
    FP16 = "fp16"
    FP32 = "fp32"


class TensorRTPrecisionMode(Enum):
    """``hierarchy``: the precision and all higher ones; ``single``: it alone; ``mixed``: as the builder likes."""

    HIERARCHY = "hierarchy"
    SINGLE = "single"
    MIXED = "mixed"


def member(kind: type[E], value: E | str, *, what: str) -> E:
    """The member of a closed set from itself or its stored value.

    Raises:
        ConfigurationError: there is none of that value.
    """
    if isinstance(value, kind):
        return value
    try:
        return kind(value)
    except ValueError:
        known = ", ".join(repr(each.value) for each in kind)
        raise ConfigurationError(f"{what} cannot be {value!r}", evidence=f"one of: {known}") from None


def members(kind: type[E], given: Any, *, what: str) -> tuple[E, ...]:
    """A single value, its text, or several of them, as a tuple without repetition.

    Raises:
        ConfigurationError: nothing is given, or a value that is not of the set.
    """
    values: Any = [given] if isinstance(given, str | Enum) else given
    if not isinstance(values, Iterable):
        raise ConfigurationError(f"{what} cannot be {given!r}", evidence="one value or several")
    found = tuple(dict.fromkeys(member(kind, value, what=what) for value in values))
    if not found:
        raise ConfigurationError(f"{what} needs at least one value")
    return found
