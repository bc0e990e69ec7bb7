"""A tensor as every stage of the export knows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure

MOST_VALUES = (1 << 31) - 64
"""Of one tensor: indices in the C code are numbers of 32 bits, and loops look one vector ahead."""
ROW_MAJOR, CHANNEL_LAST = "row-major", "channel-last"
"""Layouts: ONNX's own; and ONNX's second axis moved behind all others: (N, H, W, C) for an image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A dense tensor with a static shape.

    Attributes:
        shape: physical, the axes in the order of memory.
        layout: how they follow from the ONNX axes: ``ROW_MAJOR`` or ``CHANNEL_LAST``.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    layout: str = ROW_MAJOR

    @property
    def bytes(self) -> int:
        return dtypes.size_bytes(dtypes.of_name(self.dtype), self.shape)


def dense_strides(shape: Sequence[int]) -> tuple[int, ...]:
    """Of a row-major tensor, in values."""
    return tuple(math.prod(shape[axis + 1 :]) for axis in range(len(shape)))


def refuse_beyond_indices(tensors: Iterable[Tensor]) -> None:
    """Refuse tensors that an index of the C code does not reach.

    Raises:
        UnsupportedInModelLibraryFormatError: naming the tensor.
    """
    for tensor in tensors:
        values = math.prod(tensor.shape)
        if values > MOST_VALUES:
            raise failure(
                "mlf-too-many-values",
                f"the tensor {tensor.name!r} has more values than an index of the C code can count",
                evidence=f"{tensor.dtype}{list(tensor.shape)}: {values} values, at most {MOST_VALUES} can be reached",
                remedy="a smaller --dim, or a model that splits this tensor",
            )
