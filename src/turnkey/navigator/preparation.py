"""The preprocessing steps: samples of the dataloader, the source model's outputs for them, metadata, sample sets."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from turnkey.errors import ModelError
from turnkey.formats.dynamic_axes import BATCH
from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample, SampleSet, read_samples, write_samples
from turnkey.navigator.dataloader import read_calls
from turnkey.navigator.exceptions import NotFoundError, UserInputError
from turnkey.navigator.format import Format
from turnkey.navigator.metadata import Metadata, infer_metadata
from turnkey.navigator.sample_sets import Choice, choose, grouped, write_documented
from turnkey.navigator.source import Source, callable_of, onnx_input_names
from turnkey.navigator.workspace import Workspace

MOST_ROTATED = 8
"""Distinct inputs that profiling rotates through."""
_ROTATED_BYTES = 256 << 20
"""Of all of them together; a large batch rotates through fewer."""
_COPIES = 4
"""Of one input or output that exist at once: here, in the file for workers, in the worker, in the runtime's form."""
SEED = 0
_SHAPES, _BATCH = "shapes", "batch"
"""Of the directories of sample sets: further shapes of the dataloader, and other batch sizes made of its rows."""


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
            ModelError: the source does not take this batch size.
        """
        profiled = self.samples[self.choice.profiling[0]]
        shapes = _row_shapes(profiled, self.batched)
        fitting = [sample for sample in self.samples if _row_shapes(sample, self.batched) == shapes]
        rows: dict[str, np.ndarray] = {
            name: np.concatenate([sample[name] for sample in fitting]) for name in self.batched
        }
        available = min(len(array) for array in rows.values())
        row_bytes = sum(array.nbytes // len(array) for array in rows.values())
        count = max(1, min(MOST_ROTATED, available, _ROTATED_BYTES // max(1, row_bytes * batch)))
        inputs = []
        for turn in range(count):
            picked = (np.arange(batch) + turn * max(1, available // count)) % available
            inputs.append({name: rows[name][picked] if name in rows else array for name, array in profiled.items()})
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
        fitting = [s for s in self.samples if [array.shape for array in s.values()] == shapes][:MOST_ROTATED]
        first = self.source.outputs(fitting[0]) if self.source.can_run else None
        return SampleSet(
            structure=self.source.structure,
            inputs=tuple(fitting),
            outputs=(first, *[None] * (len(fitting) - 1)),
            seed=SEED,
        )


def prepare(
    model: Any,
    kind: Format,
    dataloader: Any,
    *,
    sample_count: int,
    batching: bool,
    input_names: Sequence[str] | None,
    output_names: Sequence[str] | None,
    further_batches: Sequence[int] = (),
    profiled_with: Any = None,
    say: Callable[[str], None],
) -> Prepared:
    """Read the dataloader, call the source model, and choose the sets.

    Args:
        sample_count: of the correctness set.
        further_batches: batch sizes to check besides 1 and the dataloader's own.
        profiled_with: a dataloader whose last sample is profiled with; None chooses from the first.
        say: told what a reader must know.

    Raises:
        ConfigurationError: the dataloader is none, is empty, or does not fit the names or the batch axis.
        UserInputError: its samples differ in structure or rank.
        ModelError: the source model fails, or gives NaN or infinity.
    """
    names = onnx_input_names(Path(model)) if kind is Format.ONNX else None
    samples, structure = _read(model, kind, dataloader, input_names, names)
    source = Source(
        model=model,
        format=kind,
        structure=None if kind is Format.ONNX else structure,
        output_names=None if output_names is None else tuple(output_names),
    )
    if len(samples) < sample_count:
        say(f"the dataloader has {len(samples)} samples, fewer than sample_count={sample_count}: all are compared")
    choice = choose(samples, count=sample_count, seed=SEED)
    if profiled_with is not None:
        samples = (*samples, _read(model, kind, profiled_with, input_names, names)[0][-1])
        choice = replace(choice, profiling=(len(samples) - 1,))
    wanted = sorted({*choice.correctness, *choice.conversion, *choice.profiling})
    outputs = {index: source.outputs(samples[index]) for index in wanted}
    metadata = infer_metadata(
        [samples[index] for index in [*wanted, *(i for i in range(len(samples)) if i not in outputs)]],
        [outputs[index] for index in wanted],
        batching=batching,
    )
    checked = sorted({*choice.correctness, *choice.conversion})
    sets = grouped(source.structure, [samples[index] for index in checked], [outputs[index] for index in checked])
    prepared = Prepared(
        source=source, samples=samples, outputs=outputs, metadata=metadata, choice=choice, sets=tuple(sets)
    )
    sizes, notes = _other_sizes(prepared, further_batches)
    for note in notes:
        say(note)
    return replace(prepared, sizes=sizes, notes=tuple(notes))


def stored(source: Source, metadata: Metadata, workspace: Workspace) -> Prepared:
    """What an earlier run prepared, from its workspace; the source may be one that cannot run.

    Samples are those of the dataloader that were stored, without the ones that were made of them for other batch
    sizes. They are grouped by shape, in order of first occurrence: the profiling sample has the shape that it had.

    Raises:
        ArtifactError: samples that cannot be read.
        NotFoundError: the workspace holds none.
    """
    shapes, batches = (_numbered(workspace.samples, kind) for kind in (_SHAPES, _BATCH))
    if not (workspace.samples / "samples.json").is_file():
        raise NotFoundError(
            "the package holds no samples to compare with",
            evidence=str(workspace.samples),
            remedy="save it with save_data=True",
        )
    given = [workspace.samples, *shapes]
    sets = [replace(read_samples(path), structure=source.structure) for path in given]
    samples = tuple(sample for each in sets for sample in each.inputs)
    outputs = enumerate(output for each in sets for output in each.outputs)
    chosen = choose(samples, count=len(samples), seed=SEED)
    return Prepared(
        source=source,
        samples=samples,
        outputs={index: found for index, found in outputs if found is not None},
        metadata=metadata,
        choice=replace(chosen, correctness=(), conversion=()),
        sets=tuple(sets),
        stored=(*given, *batches),
    )


def write_sets(prepared: Prepared, workspace: Workspace) -> list[Path]:
    """Write all samples into the workspace; returns the directories that a check compares with.

    The documented folders hold single rows; ``samples/`` holds whole sets with their outputs.
    """
    batched = prepared.batched
    indexed = dict(enumerate(prepared.samples))
    output_batched = tuple(
        spec.name for spec in prepared.metadata.outputs if prepared.metadata.batch_dim == 0 and spec.shape[:1] == (-1,)
    )
    write_documented(workspace.inputs, prepared.choice, {i: indexed[i] for i in prepared.outputs}, batched=batched)
    write_documented(workspace.outputs, prepared.choice, prepared.outputs, batched=output_batched)
    directories = []
    for number, samples in enumerate(prepared.sets):
        directory = workspace.samples if number == 0 else workspace.samples / f"{_SHAPES}-{number}"
        write_samples(samples, directory)
        directories.append(directory)
    for size, samples in prepared.sizes.items():
        directory = workspace.samples / f"{_BATCH}-{size}"
        write_samples(samples, directory)
        directories.append(directory)
    return directories


def _numbered(directory: Path, kind: str) -> list[Path]:
    """Directories ``<kind>-<number>`` in the order of their numbers."""
    return sorted(directory.glob(f"{kind}-*"), key=lambda path: (len(path.name), path.name))


def _other_sizes(prepared: Prepared, further: Sequence[int]) -> tuple[dict[int, SampleSet], list[str]]:
    """Sets at batch 1, at a larger size than the dataloader's, and at those asked for; and what was found."""
    if prepared.metadata.batch_dim is None or prepared.metadata.largest_batch is None:
        return {}, []
    own = prepared.metadata.largest_batch
    found: dict[int, SampleSet] = {}
    notes = []
    for size in sorted({1, 2 * own, *further} - {own}):
        try:
            found[size] = prepared.at_batch(size)
        except ModelError as error:
            first_line = error.evidence.splitlines()[0] if error.evidence else error.what
            notes.append(f"the source model does not take batch size {size}: {first_line}")
    if 1 in found and (note := _row_dependence(prepared, found[1])):
        notes.append(note)
    return found, notes


def _row_dependence(prepared: Prepared, single: SampleSet) -> str:
    """Whether the rows of a batch influence each other in the source model; empty if they do not."""
    from turnkey.navigator.tolerances import compare_outputs
    from turnkey.verify import VerificationVerdict

    own = prepared.metadata.largest_batch or 1
    if own < 2:
        return ""
    try:
        together = prepared.at_batch(own)
    except ModelError:
        return ""
    alone = single.outputs[0]
    batch = together.outputs[0]
    assert alone is not None, "at_batch gives the first its outputs"
    assert batch is not None, "at_batch gives the first its outputs"
    follows = [name for name, array in batch.items() if array.ndim and array.shape[0] == own and name in alone]
    row = {name: batch[name][:1] for name in follows}
    found = compare_outputs({name: alone[name] for name in follows}, row) if follows else None
    if found is None or found.verdict is not VerificationVerdict.INVALID:
        return ""
    return f"rows of a batch influence each other in the source model: {found.reason}"


def _read(
    model: Any, kind: Format, dataloader: Any, given: Sequence[str] | None, of_file: Sequence[str] | None
) -> tuple[tuple[Sample, ...], CallStructure]:
    """Samples under the model's input names, and the structure of their calls."""
    calls = read_calls(dataloader, takes=callable_of(model, kind), names=None if of_file is not None else given)
    if of_file is None:
        return calls.samples, calls.structure
    return tuple(by_names(sample, of_file) for sample in calls.samples), calls.structure


def _item_bytes(dtype: str) -> int:
    from turnkey.formats.onnx_signature import dtype_of

    return int(dtype_of(dtype).itemsize)


def _row_shapes(sample: Sample, batched: Sequence[str]) -> list[tuple[int, ...]]:
    return [array.shape[1:] if name in batched else array.shape for name, array in sample.items()]


def by_names(sample: Sample, names: Sequence[str]) -> Sample:
    """A sample under the model's input names: by key where it has keys, else by position.

    Raises:
        UserInputError: it has other keys, or another number of tensors.
    """
    if set(sample) == set(names):
        return {name: sample[name] for name in names}
    if len(sample) == len(names) and all(name.startswith("input__") for name in sample):
        return dict(zip(names, sample.values(), strict=True))
    raise UserInputError(
        "the samples do not have the inputs of the model",
        evidence=f"it takes {', '.join(names)}; a sample has {', '.join(sample)}",
        remedy="yield dictionaries with these names, or tensors in their order",
    )
