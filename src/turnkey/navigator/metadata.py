"""What is known of the model's tensors from all samples: names, dtypes, and which axes vary. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.errors import ModelError
from turnkey.formats.dynamic_axes import BATCH, DynamicAxes, batch_axes, observed_axes
from turnkey.model.samples import Sample
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.tensorrt_profile import TensorRTProfile

VARIES = -1
"""Extent of an axis that varies, as ``status.yaml`` writes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorMetadata:
    """One named tensor; ``shape`` has −1 for the batch axis and for axes that vary over the dataloader."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "shape": list(self.shape), "dtype": self.dtype}


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """Inputs and outputs of a model over a dataloader.

    Attributes:
        axes: which input axes vary, with their symbols; the batch axis is ``batch``.
        profile: range of every input's shape, the batch axis from 1.
        batch_dim: 0, or None without a batch axis.
        largest_batch: of the dataloader; None without a batch axis.
    """

    inputs: tuple[TensorMetadata, ...]
    outputs: tuple[TensorMetadata, ...]
    axes: DynamicAxes
    profile: TensorRTProfile
    batch_dim: int | None
    largest_batch: int | None


def infer_metadata(inputs: Sequence[Sample], outputs: Sequence[Sample], *, batching: bool) -> Metadata:
    """Metadata from samples.

    Args:
        inputs: all samples of the dataloader; at least one.
        outputs: the source model's, for some of them, in the same order.
        batching: whether axis 0 is a batch axis.

    Raises:
        ConfigurationError: batching is asked for, and the inputs of a sample have no rows.
        ModelError: the outputs have other names or ranks for some samples than for others.
    """
    first = inputs[0]
    batch = batch_axes(first) if batching else DynamicAxes({})
    for sample in inputs:  # a table beside the batch may have the batch's extent in one sample by chance
        shared = batch_axes(sample).symbols if batching else {}
        batch = DynamicAxes({name: axes for name, axes in batch.symbols.items() if name in shared})
        if batching and not batch:
            raise ConfigurationError(
                "there is no batch axis",
                evidence=", ".join(f"{name} {list(array.shape)}" for name, array in sample.items()),
                remedy="optimize(..., batching=False)",
            )
    axes = batch.merged(observed_axes(first, inputs[1:]))
    sizes = [axes.extents(sample)[BATCH] for sample in inputs] if batch else []
    profile = TensorRTProfile()
    for name in first:
        shapes = list(zip(*(sample[name].shape for sample in inputs), strict=True))
        is_batch = [axes.symbols.get(name, {}).get(axis) == BATCH for axis in range(len(shapes))]
        profile.add(
            name,
            [1 if is_first else min(extents) for extents, is_first in zip(shapes, is_batch, strict=True)],
            [int(statistics.median(extents)) for extents in shapes],
            [max(extents) for extents in shapes],
        )
    return Metadata(
        inputs=tuple(
            TensorMetadata(
                name=name,
                shape=tuple(VARIES if axis in axes.symbols.get(name, {}) else n for axis, n in enumerate(array.shape)),
                dtype=str(array.dtype),
            )
            for name, array in first.items()
        ),
        outputs=_outputs(outputs, sizes),
        axes=axes,
        profile=profile,
        batch_dim=0 if batch else None,
        largest_batch=max(sizes, default=None),
    )


def _outputs(outputs: Sequence[Sample], sizes: Sequence[int]) -> tuple[TensorMetadata, ...]:
    """An output's axis varies if it does over the samples, or if it is the first and follows the batch."""
    layouts = [{name: array.ndim for name, array in sample.items()} for sample in outputs]
    if other := next((layout for layout in layouts if layout != layouts[0]), None):
        raise ModelError(
            "the source model returns other outputs for some samples than for others",
            evidence=f"names and ranks {other} instead of {layouts[0]}",
            remedy="outputs must have the same names and ranks for every sample",
        )
    found = []
    for name, array in outputs[0].items():
        shapes = [sample[name].shape for sample in outputs]
        varies = [len({shape[axis] for shape in shapes}) > 1 for axis in range(array.ndim)]
        if array.ndim and sizes and all(shape[0] == size for shape, size in zip(shapes, sizes, strict=False)):
            varies[0] = True
        shape = tuple(VARIES if changes else extent for changes, extent in zip(varies, array.shape, strict=True))
        found.append(TensorMetadata(name=name, shape=shape, dtype=str(array.dtype)))
    return tuple(found)
