"""A tensor as every stage of the export knows it."""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.mlf import dtypes


@dataclass(frozen=True, slots=True, kw_only=True)
class Tensor:
    """A dense tensor with a static shape, in ONNX layout."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        return dtypes.size_bytes(dtypes.of_name(self.dtype), self.shape)
