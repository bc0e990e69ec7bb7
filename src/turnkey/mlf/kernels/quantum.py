"""How bytes stand for numbers: ``(byte - zero) * scale``, with one scale for a tensor or one for each slice of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.node import attribute

if TYPE_CHECKING:
    import numpy as np
    import onnx

_RANGES = {"uint8": (0, 255), "int8": (-128, 127), "int32": (-(1 << 31), (1 << 31) - 1)}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Quantum:
    """A quantisation.

    Attributes:
        scale: float32, one value or one per slice; zero: as many whole numbers.
        dtype: of the bytes: ``uint8`` or ``int8``; biases are ``int32``.
        axis: along which the slices lie; None where there is one scale.
    """

    scale: np.ndarray
    zero: np.ndarray
    dtype: str
    axis: int | None = None

    @property
    def low(self) -> int:
        return _RANGES[self.dtype][0]

    @property
    def high(self) -> int:
        return _RANGES[self.dtype][1]

    @property
    def single_scale(self) -> float:
        """The scale of a whole tensor."""
        return float(self.scale[0])

    @property
    def single_zero(self) -> int:
        return int(self.zero[0])

    @property
    def c_type(self) -> str:
        return f"{self.dtype}_t"

    def is_same(self, other: Quantum) -> bool:
        """Whether equal bytes stand for equal numbers."""
        return (
            self.axis is None
            and other.axis is None
            and self.dtype == other.dtype
            and self.single_scale == other.single_scale
            and self.single_zero == other.single_zero
        )

    def values(self, stored: np.ndarray) -> np.ndarray:
        """Whole numbers without their zero point."""
        import numpy as np

        zero = self.zero
        if self.axis is not None:
            zero = zero.reshape([-1 if i == self.axis else 1 for i in range(stored.ndim)])
        numbers: np.ndarray = stored.astype(np.int32) - zero
        return numbers

    def every_number(self) -> np.ndarray:
        """What each byte stands for, by its unsigned value: 256 numbers of float32."""
        import numpy as np

        stored = np.arange(256, dtype=np.uint8).view(self.dtype)
        numbers: np.ndarray = self.values(stored).astype(np.float32) * np.float32(self.single_scale)
        return numbers

    def factor_from(self, scale: np.ndarray) -> np.ndarray:
        """What turns numbers of quanta of another scale (float32) into those of this one.

        At most the largest float: times infinity, the number 0 would be none.
        """
        import numpy as np

        with np.errstate(over="ignore"):
            factor: np.ndarray = np.minimum(scale / np.float32(self.single_scale), np.finfo(np.float32).max)
        return factor

    def bytes_of(self, numbers: np.ndarray) -> np.ndarray:
        """Numbers as bytes: rounded to the nearest, ties to the even one, and bounded."""
        import numpy as np

        scaled = np.rint(np.asarray(numbers, np.float32) / np.float32(self.single_scale))
        stored: np.ndarray = np.clip(scaled + self.single_zero, self.low, self.high).astype(self.dtype)
        return stored

    def bounds(self, low: float | None = None, high: float | None = None) -> tuple[float, float]:
        """What rounded numbers of quanta, without zero point, are kept between.

        Args:
            low, high: bounds of the numbers themselves, such as 0 for a rectifier.
        """
        lowest, highest = float(self.low - self.single_zero), float(self.high - self.single_zero)
        if low is not None:
            lowest = min(highest, max(lowest, low / self.single_scale))
        if high is not None:
            highest = max(lowest, min(highest, high / self.single_scale))
        return lowest, highest

    def c_target(self, low: float | None = None, high: float | None = None) -> str:
        """Members of a ``turnkey_target`` of bytes (`c/bytes.h`)."""
        lowest, highest = self.bounds(low, high)
        return f"TURNKEY_TO_BYTES, {c_float(lowest)}, {c_float(highest)}, {self.single_zero}"


def quantum(scale: str, zero: str, dtype: str, graph: NodeGraph, *, axis: int | None = None) -> Quantum | None:
    """A quantisation by constants; None where they are computed or no scales, or bytes are something else.

    Args:
        scale, zero: names of tensors; no zero point is 0.
        axis: along which there may be several scales.
    """
    import numpy as np

    if dtype not in _RANGES or scale not in graph.constants or (zero and zero not in graph.constants):
        return None
    scales = graph.constants[scale].reshape(-1)
    zeros = graph.constants[zero].reshape(-1).astype(np.int32) if zero else np.zeros(scales.shape, np.int32)
    if scales.dtype != np.float32 or not scales.size or graph.constants[scale].ndim > 1:
        return None
    if not (np.isfinite(scales) & (scales > 0)).all():
        return None
    if scales.size == 1:
        return Quantum(scale=scales, zero=zeros[:1], dtype=dtype) if zeros.size == 1 else None
    if axis is None:
        return None
    return Quantum(scale=scales, zero=np.broadcast_to(zeros, scales.shape), dtype=dtype, axis=axis)


def quantum_of(node: onnx.NodeProto, graph: NodeGraph) -> Quantum | None:
    """That of a QuantizeLinear or DequantizeLinear; None where its scales are computed, or lie in blocks."""
    stored = graph.tensors[node.input[0] if node.op_type == "DequantizeLinear" else node.output[0]]
    real = graph.tensors[node.output[0] if node.op_type == "DequantizeLinear" else node.input[0]]
    if real.dtype != "float32" or attribute(node, "block_size", 0):
        return None
    zero = node.input[2] if len(node.input) > 2 else ""
    axis = attribute(node, "axis", 1)
    return quantum(node.input[1], zero, stored.dtype, graph, axis=axis % max(1, len(stored.shape)))
