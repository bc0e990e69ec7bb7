"""What preprocessing leaves: the source, samples with its outputs, and what a runner is fed at each batch size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from turnkey.errors import ModelError
from turnkey.formats.dynamic_axes import BATCH
from turnkey.model.samples import Sample, SampleSet
from turnkey.navigator.metadata import Metadata
from turnkey.navigator.sample_sets import Choice
from turnkey.navigator.source import Source

_MOST_ROTATED = 8
"""Distinct inputs that profiling rotates through."""
_ROTATED_BYTES = 256 << 20
"""Of all of them together; a large batch rotates through fewer."""
_COPIES = 4
"""Of one input or output that exist at once: here, in the file for workers, in the worker, in the runtime's form."""
SEED = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the steps after preprocessing start from.

    Attributes:
        samples: every sample of the dataloader, named arrays.
        outputs: the source's, by index of a sample, for those of the sets.
        sets: the correctness and conversion samples with outputs, one set per combination of shapes; the first is
            what is exported with.
        sizes: sets at other batch sizes than the dataloader's, by batch size.
        stored: directories of the sets, where an earlier run wrote them; else empty.
        notes: what a reader must know.
    """

    source: Source
    samples: tuple[Sample, ...]
    outputs: dict[int, Sample]
    metadata: Metadata
    choice: Choice
    sets: tuple[SampleSet, ...]
    sizes: Mapping[int, SampleSet] = field(default_factory=dict)
    stored: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def batched(self) -> tuple[str, ...]:
        """Inputs that have the batch axis."""
        return tuple(name for name, axes in self.metadata.axes.symbols.items() if BATCH in axes.values())

    def at_batch(self, batch: int) -> SampleSet:
        """Distinct rows at a batch size: what a rung is fed, with reference outputs for the first sample.

        Rows of all samples of the profiling shape are dealt out in turn, so that inputs that rotate differ.

        Raises:
            ModelError: the source does not take this batch size, or memory does not hold it.
        """
        profiled = self.samples[self.choice.profiling[0]]
        shapes = _row_shapes(profiled, self.batched)
        fitting = [sample for sample in self.samples if _row_shapes(sample, self.batched) == shapes]
        rows: dict[str, np.ndarray] = {
            name: np.concatenate([sample[name] for sample in fitting]) for name in self.batched
        }
        available = min(len(array) for array in rows.values())
        row_bytes = sum(array.nbytes // len(array) for array in rows.values())
        count = max(1, min(_MOST_ROTATED, available, _ROTATED_BYTES // max(1, row_bytes * batch)))
        inputs = []
        try:
            for turn in range(count):
                picked = (np.arange(batch) + turn * max(1, available // count)) % available
                inputs.append(
                    {name: rows[name][picked] if name in rows else array for name, array in profiled.items()}
                )
        except MemoryError as error:
            raise ModelError(f"inputs of batch size {batch} do not fit into memory", evidence=str(error)) from error
        first = self.source.outputs(inputs[0]) if self.source.can_run else None
        return SampleSet(
            structure=self.source.structure,
            inputs=tuple(inputs),
            outputs=(first, *[None] * (count - 1)),
            seed=SEED,
        )

    def needed_bytes(self, batch: int) -> int:
        """What inputs and outputs of a batch size take at least, all copies of them together; a lower bound."""
        profiled = self.samples[self.choice.profiling[0]]
        inputs = sum(
            array.nbytes // max(1, len(array)) * batch if name in self.batched else array.nbytes
            for name, array in profiled.items()
        )
        outputs = sum(
            math.prod(batch if axis == 0 and extent < 0 else max(1, extent) for axis, extent in enumerate(spec.shape))
            * _item_bytes(spec.dtype)
            for spec in self.metadata.outputs
        )
        return _COPIES * (inputs + outputs)

    def as_given(self) -> SampleSet:
        """Samples of the profiling shape as they came, for models without a batch axis."""
        profiled = self.samples[self.choice.profiling[0]]
        shapes = [array.shape for array in profiled.values()]
        fitting = [s for s in self.samples if [array.shape for array in s.values()] == shapes][:_MOST_ROTATED]
        first = self.source.outputs(fitting[0]) if self.source.can_run else None
        return SampleSet(
            structure=self.source.structure,
            inputs=tuple(fitting),
            outputs=(first, *[None] * (len(fitting) - 1)),
            seed=SEED,
        )


def _row_shapes(sample: Sample, batched: Sequence[str]) -> list[tuple[int, ...]]:
    return [array.shape[1:] if name in batched else array.shape for name, array in sample.items()]


def _item_bytes(dtype: str) -> int:
    from turnkey.formats.onnx_signature import dtype_of  # and with it onnx, for who measures

    return int(dtype_of(dtype).itemsize)
