"""A tensor as every stage of the export knows it."""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.mlf import dtypes

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
