"""Which samples prove, convert and profile a model, and where they are kept. Choosing is pure.

*correctness*: some at random; *conversion*: those that realise the smallest and largest extent of every axis;
*profiling*: the last that realises a largest extent. The documented folders hold one row of each (the batch axis is
taken away), inputs and outputs paired by index; what Turnkey itself computes with are whole samples in ``samples/``.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from turnkey.errors import ArtifactError
from turnkey.model.call import CallStructure
from turnkey.model.npz import read_arrays, write_arrays
from turnkey.model.samples import Sample, SampleSet
from turnkey.pipeline import durable

KINDS = ("profiling", "correctness", "conversion")
_LIMIT_BYTES = 1 << 30
_STORED = re.compile(r"([0-9]{1,6})\.npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """Indices into the dataloader's samples."""

    profiling: tuple[int, ...]
    correctness: tuple[int, ...]
    conversion: tuple[int, ...]


def choose(samples: Sequence[Sample], *, count: int, seed: int) -> Choice:
    """The three sets.

    Args:
        count: of the correctness set.
        seed: of a generator of our own.
    """
    generator = np.random.default_rng(seed)
    picked = generator.permutation(len(samples))[:count] if count < len(samples) else range(len(samples))
    lowest: dict[tuple[str, int], tuple[int, int]] = {}
    highest: dict[tuple[str, int], tuple[int, int]] = {}
    for index, sample in enumerate(samples):
        for name, array in sample.items():
            for axis, extent in enumerate(array.shape):
                place = (name, axis)
                if place not in lowest or extent < lowest[place][0]:
                    lowest[place] = (extent, index)
                if place not in highest or extent > highest[place][0]:
                    highest[place] = (extent, index)
    extremes = {index for _, index in (*lowest.values(), *highest.values())} or {0}
    return Choice(
        profiling=(max((index for _, index in highest.values()), default=0),),
        correctness=tuple(sorted(int(index) for index in picked)),
        conversion=tuple(sorted(extremes)),
    )


def grouped(
    structure: CallStructure | None, inputs: Sequence[Sample], outputs: Sequence[Sample | None]
) -> list[SampleSet]:
    """One sample set for each combination of shapes, in order of first occurrence."""
    groups: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for index, sample in enumerate(inputs):
        groups.setdefault(tuple(array.shape for array in sample.values()), []).append(index)
    return [
        SampleSet(
            structure=structure,
            inputs=tuple(inputs[index] for index in indices),
            outputs=tuple(outputs[index] for index in indices),
        )
        for indices in groups.values()
    ]


def row(sample: Sample, batched: Iterable[str]) -> Sample:
    """The first row of the tensors that have the batch axis, without that axis."""
    names = set(batched)
    return {name: array[0] if name in names else array for name, array in sample.items()}


def write_documented(
    directory: Path, choice: Choice, samples: Mapping[int, Sample], *, batched: Iterable[str]
) -> None:
    """``<directory>/{profiling,correctness,conversion}/<i>.npz``, one row each; float types of numpy only."""
    names = tuple(batched)
    for kind in KINDS:
        durable.make_directory(directory / kind)
        indices = [index for index in getattr(choice, kind) if index in samples]
        for position, index in enumerate(indices):
            rows = {name: _plain(array) for name, array in row(samples[index], names).items()}
            with durable.replacement(directory / kind / f"{position}.npz") as temporary, temporary.open("wb") as file:
                write_arrays(file, rows)


def read_documented(directory: Path) -> list[Sample]:
    """Samples of such a folder, by index (never in the order in which a directory lists them).

    Raises:
        ArtifactError: a file is too large, or is not what numpy wrote without pickle.
    """
    files = sorted(
        (int(match[1]), path) for path in directory.glob("*.npz") if (match := _STORED.fullmatch(path.name))
    )
    samples = []
    for _, path in files:
        try:
            samples.append(read_arrays(path, limit_bytes=_LIMIT_BYTES))
        except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
            raise ArtifactError("a stored sample cannot be used", evidence=f"{path}: {error}") from error
    return samples


def _plain(array: np.ndarray) -> np.ndarray:
    """numpy's own file format has no bfloat16: it is written as float32, which holds every value of it.

    Texts are arrays of texts, and no objects, which would have to be pickled.
    """
    if array.dtype.kind == "O":
        return array.astype(str)
    if array.dtype.isbuiltin == 1 or array.dtype.kind in "US":
        return array
    return array.astype(np.float32)
