"""The sample sets of a run in its workspace: what preprocessing writes, and what who begins with a package reads.

``samples/`` holds the set that is exported with, ``samples/shapes-<n>`` those of the dataloader's other shapes, and
``samples/batch-<n>`` those that were made of its rows for other batch sizes, all with the source's outputs. The
documented folders hold single rows.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.model.samples import read_samples, write_samples
from turnkey.navigator.exceptions import NotFoundError
from turnkey.navigator.format import Format
from turnkey.navigator.metadata import Metadata
from turnkey.navigator.package_result import Package, source_format_of
from turnkey.navigator.preparation import SEED, Prepared
from turnkey.navigator.sample_sets import choose, write_documented
from turnkey.navigator.source import Source
from turnkey.navigator.stored_metadata import metadata_of
from turnkey.navigator.workspace import Workspace

_SHAPES, _BATCH = "shapes", "batch"


def write_sets(prepared: Prepared, workspace: Workspace) -> list[Path]:
    """Write all samples into the workspace; returns the directories that a check compares with."""
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


def reopened(package: Package, *, model: Any = None) -> tuple[Workspace, Prepared]:
    """The workspace of a package, and what was prepared in it.

    Args:
        model: the source; None is the one that is attached, if any.

    Raises:
        NotFoundError, ArtifactError: as `stored`.
    """
    workspace = Workspace(package.workspace)
    source = Source(
        model=package.model if model is None else model,
        format=source_format_of(package) or Format.PYTHON,
        structure=package.structure,
    )
    return workspace, stored(source, metadata_of(package.status), workspace)


def _numbered(directory: Path, kind: str) -> list[Path]:
    """Directories ``<kind>-<number>`` in the order of their numbers."""
    return sorted(directory.glob(f"{kind}-*"), key=lambda path: (len(path.name), path.name))
