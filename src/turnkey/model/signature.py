"""What a model takes and gives: named tensors with dtype and (possibly symbolic) shape."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnkey.model.samples import Sample

Dimension = int | str
"""A number, or the name of a symbolic dimension (``"batch"``)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One named tensor.

    Attributes:
        name: ``input_ids``, or dotted for nested values: ``past.0.key``.
        dtype: numpy's name (``float32``, ``int64``, ``bool``), or that of ml_dtypes (``bfloat16``).
        shape: extents in order; a string is a symbolic dimension.
    """

    name: str
    dtype: str
    shape: tuple[Dimension, ...]


def specs_of(sample: Sample) -> tuple[TensorSpec, ...]:
    """The tensors of a sample with the extents that they have."""
    return tuple(TensorSpec(name=name, dtype=str(array.dtype), shape=array.shape) for name, array in sample.items())


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """Inputs in the order of the call, outputs in the order of the result."""

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...] = ()

    def to_dict(self) -> dict[str, list[dict[str, object]]]:
        return {
            side: [{"name": spec.name, "dtype": spec.dtype, "shape": list(spec.shape)} for spec in specs]
            for side, specs in (("inputs", self.inputs), ("outputs", self.outputs))
        }

    @classmethod
    def from_dict(cls, fields: Mapping[str, list[dict[str, object]]]) -> Signature:
        def specs(side: str) -> tuple[TensorSpec, ...]:
            return tuple(
                TensorSpec(
                    name=str(item["name"]),
                    dtype=str(item["dtype"]),
                    shape=tuple(item["shape"]),  # type: ignore[arg-type]
                )
                for item in fields.get(side, [])
            )

        return cls(inputs=specs("inputs"), outputs=specs("outputs"))
