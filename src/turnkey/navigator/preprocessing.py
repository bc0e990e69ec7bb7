"""The preprocessing steps: samples of the dataloader, the source model's outputs for them, metadata, sample sets."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.errors import ModelError
from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample, SampleSet
from turnkey.navigator.dataloader import read_calls
from turnkey.navigator.exceptions import UserInputError
from turnkey.navigator.format import Format
from turnkey.navigator.metadata import infer_metadata
from turnkey.navigator.preparation import SEED, Prepared
from turnkey.navigator.rung_targets import fits
from turnkey.navigator.sample_sets import choose, grouped
from turnkey.navigator.source import Source, callable_of, onnx_input_names
from turnkey.navigator.tolerances import compare_outputs
from turnkey.verify import VerificationVerdict


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
        ModelError: the source model fails, gives NaN or infinity, or other outputs for some samples than for others.
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
    first = wanted[0]
    if found := _difference(outputs[first], source.outputs(samples[first])):
        notes.append(f"the source model does not repeat itself, so that nothing agrees with it: {found}")
    for note in notes:
        say(note)
    return replace(prepared, sizes=sizes, notes=tuple(notes))


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


def _read(
    model: Any, kind: Format, dataloader: Any, given: Sequence[str] | None, of_file: Sequence[str] | None
) -> tuple[tuple[Sample, ...], CallStructure]:
    """Samples under the model's input names, and the structure of their calls."""
    calls = read_calls(dataloader, takes=callable_of(model, kind), names=None if of_file is not None else given)
    if of_file is None:
        return calls.samples, calls.structure
    return tuple(by_names(sample, of_file) for sample in calls.samples), calls.structure


def _other_sizes(prepared: Prepared, further: Sequence[int]) -> tuple[dict[int, SampleSet], list[str]]:
    """Sets at batch 1, at a larger size than the dataloader's, and at those asked for; and what was found."""
    if prepared.metadata.batch_dim is None or prepared.metadata.largest_batch is None:
        return {}, []
    own = prepared.metadata.largest_batch
    found: dict[int, SampleSet] = {}
    notes = []
    for size in sorted({1, 2 * own, *further} - {own}):
        if size > own and not fits(prepared, size):
            notes.append(f"batch size {size} is not checked: its inputs and outputs do not fit into memory")
            continue
        try:
            found[size] = prepared.at_batch(size)
        except ModelError as error:
            first_line = error.evidence.splitlines()[0] if error.evidence else error.what
            notes.append(f"the source model does not take batch size {size}: {first_line}")
    if 1 in found and (difference := _row_dependence(prepared, found[1])):
        notes.append(f"rows of a batch influence each other in the source model: {difference}")
    return found, notes


def _row_dependence(prepared: Prepared, single: SampleSet) -> str:
    """How far the first row of a batch lies from the same row alone; empty if they agree."""
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
    return _difference({name: alone[name] for name in follows}, {name: batch[name][:1] for name in follows})


def _difference(reference: Sample, actual: Sample) -> str:
    """Why outputs of the source differ; empty if they agree."""
    found = compare_outputs(reference, actual)
    return found.reason if found.verdict is VerificationVerdict.INVALID else ""
