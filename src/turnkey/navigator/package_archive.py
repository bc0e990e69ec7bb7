"""The package as one file: a zip with a manifest, the SHA-256 of every member, and nothing that is pickled by us.

``manifest.json`` is described in `turnkey.navigator.manifest`. Required: it and ``status.yaml``. Forbidden: pickles,
and what `turnkey.pipeline.archive` refuses (links, climbing names, bombs).
Samples, their reference outputs and the tolerances travel inside: the package can be verified where it arrives.

Archives of the original (``.nav`` without a manifest) are read as far as their content goes: status, models, metadata
and sample rows; the structure of the source's calls is not in them, and nothing vouches for their bytes.

========  ==============================
schema    what changed
========  ==============================
1         first
========  ==============================
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from turnkey.errors import TurnkeyError
from turnkey.file_digest import digest_of_files
from turnkey.model.samples import SampleSet, write_samples
from turnkey.navigator.exceptions import ConfigurationWarning
from turnkey.navigator.manifest import checked_manifest, manifest_of, refusal
from turnkey.navigator.package_result import Package
from turnkey.navigator.sample_sets import read_documented
from turnkey.navigator.status import ModelStatus, Status
from turnkey.navigator.status_file import read_status, write_status
from turnkey.navigator.strategy import (
    MaxThroughputStrategy,
    MinLatencyStrategy,
    Strategy,
    best_runtime,
    candidates_of,
)
from turnkey.navigator.workspace import Workspace, new_workspace, remove
from turnkey.pipeline.archive import Archive, read_archive, write_archive

MANIFEST = "manifest.json"
_DATA = ("model_input/", "model_output/", "samples/")
_NOT_EXTRACTED = (".log", ".sh", ".py")
_PICKLES = (".pkl", ".pickle", ".joblib")
_EXPORTED = ("torchscript", "torch-exportedprogram", "onnx", "openvino", "tf-savedmodel", "stablehlo")
"""Formats that every package ships; compiled ones only where they are among the best."""


def save(
    package: Package,
    path: str | Path,
    keep_workspace: bool = True,
    override: bool = False,
    save_data: bool = True,
    strategies: Iterable[Strategy] = (),
) -> None:
    """Write a package to one file.

    Args:
        path: of the archive (``.nav``).
        keep_workspace: leave the workspace; without it the directory is removed after the archive was read back.
        override: replace a file of that name.
        save_data: with samples and reference outputs; without them the package cannot verify itself.
        strategies: whose winners are shipped beside those of the largest throughput and the smallest latency.

    Raises:
        FileExistsError: there is such a file, and ``override`` is False.
        FileNotFoundError: the workspace is gone.
        InputError: the archive cannot be written.
    """
    target = Path(path)
    if target.exists() and not override:
        raise FileExistsError(f"{target} exists already; package.save(…, override=True) replaces it")
    workspace = Workspace(package.workspace)
    if not workspace.status.is_file():
        raise FileNotFoundError(f"the workspace of this package is gone: {workspace.path}")
    if package.is_empty():
        message = "the package has no model that is right and profiled; it is saved as it is"
        warnings.warn(message, ConfigurationWarning, stacklevel=2)
    with workspace.held():
        members = {workspace.relative(file): file for file in _files(package, workspace, save_data, list(strategies))}
        content: dict[str, bytes | Path] = {MANIFEST: manifest_of(members), **members}
        write_archive(target, content, check=_read_back)
    if not keep_workspace:
        remove(workspace)


def load(path: str | Path, workspace: str | Path | None = None) -> Package:
    """Read a package; the source model is attached by `Package.load_source_model`.

    Args:
        workspace: where to unpack; a directory that is not there yet. None is named after the archive.

    Raises:
        InputError: there is no such file, or the workspace exists.
        ArtifactError: it is no package, was tampered with, or holds what is forbidden.
        BackwardCompatibilityError: of a version that cannot be read.
    """
    source = Path(path)
    with read_archive(source) as archive:
        is_ours = check_archive(archive)
        target = new_workspace(workspace, beside=source)
        names = [name for name in archive.names if not name.endswith(_NOT_EXTRACTED) and name != MANIFEST]
        try:
            archive.extract(target.path, names)
            status = read_status(target.status)
            if not is_ours:
                status = _foreign(status, target)
                write_status(status, target.status)
        except BaseException:
            remove(target)  # it was empty or not there: the same call can be made again
            raise
    return Package(status, target.path)


@contextmanager
def opened(path: Path) -> Iterator[Package]:
    """The package of a file or of a workspace, to be looked at; a file is unpacked into a scratch directory.

    Raises:
        InputError, ArtifactError: as `load` and `load_from_workspace`.
    """
    if path.is_dir():
        yield load_from_workspace(path)
        return
    with tempfile.TemporaryDirectory(prefix="turnkey-package-") as scratch:
        yield load(path, workspace=Path(scratch) / "package")


def load_from_workspace(workspace: str | Path) -> Package:
    """The package of a workspace. Raises InputError if there is none, ArtifactError if it is corrupt."""
    found = Workspace(Path(workspace).absolute())
    return Package(read_status(found.status), found.path)


def check_archive(archive: Archive) -> bool:
    """Whether it is ours: with a manifest, with which every member is compared before anything is written anywhere.

    Raises:
        ArtifactError: they do not agree, or a pickle is inside.
        BackwardCompatibilityError: the manifest is of another schema.
    """
    for name in archive.names:
        if name.lower().endswith(_PICKLES):
            raise refusal(archive, f"{name} is a pickle, which a package must not hold", what="package")
    if "status.yaml" not in archive:
        raise refusal(archive, "it has no status.yaml: it is no package", what="package")
    if MANIFEST not in archive:
        return False
    checked_manifest(archive, MANIFEST, what="package")
    return True


def _read_back(path: Path) -> None:
    with read_archive(path) as archive:
        check_archive(archive)


def _files(package: Package, workspace: Workspace, save_data: bool, strategies: Sequence[Strategy]) -> Iterator[Path]:
    """Status, log, models, scripts, records, and samples; each once."""
    shipped = {model.model_config.key for model in _shipped(package.status, strategies)}
    seen: set[Path] = set()

    def once(paths: Iterable[Path]) -> Iterator[Path]:
        for path in paths:
            if path not in seen and path.is_file() and not path.is_symlink():
                seen.add(path)
                yield path

    yield from once([workspace.status, workspace.log])
    for key, model in package.status.models.items():
        if key in shipped:
            yield from once(workspace.path / each for each in model.files)
        directory = workspace.model(key)
        yield from once(sorted([*directory.glob("*.log"), *directory.glob("reproduce_*")]))
    yield from once(sorted(workspace.records.rglob("*.zip")))
    if save_data:
        for prefix in _DATA:
            yield from once(
                sorted(file for file in (workspace.path / prefix).rglob("*") if file.suffix in (".npz", ".json"))
            )


def _shipped(status: Status, strategies: Sequence[Strategy]) -> list[ModelStatus]:
    """Every exported format, and the winners."""
    kept = {key for key, model in status.models.items() if model.model_config.format.value in _EXPORTED}
    candidates = candidates_of(status)
    for strategy in (MaxThroughputStrategy(), MinLatencyStrategy(), *strategies):
        try:
            kept.add(best_runtime(candidates, [strategy]).model_key)
        except TurnkeyError:  # nobody wins: there is nothing more to ship
            continue
    return [model for key, model in status.models.items() if key in kept]


def _foreign(status: Status, workspace: Workspace) -> Status:
    """What can be made of a package of the original: files that are there, digests of our own, rows as samples."""
    models = {}
    for key, model in status.models.items():
        path = workspace.path / PurePosixPath(model.model_config.path)
        if model.model_config.format.is_source or not path.exists():
            models[key] = model
            continue
        inside = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
        digest, size_bytes = digest_of_files(inside)
        files = tuple(workspace.relative(each) for each in inside)
        models[key] = replace(model, sha256=digest, size_bytes=size_bytes, files=files)
    notes = ["read from a package of the original: no checksums, and no structure of the source's calls"]
    batched = status.config.get("batch_dim") == 0
    inputs = read_documented(workspace.inputs / "correctness")
    outputs = read_documented(workspace.outputs / "correctness")
    if inputs and len(inputs) == len(outputs):
        samples = SampleSet(
            structure=None,
            inputs=tuple(_with_batch(row, status.input_metadata, batched) for row in inputs),
            outputs=tuple(_with_batch(row, status.output_metadata, batched) for row in outputs),
        )
        write_samples(samples, workspace.samples)
    return replace(status, models=models, own={**status.own, "notes": notes})


def _with_batch(row: dict[str, np.ndarray], metadata: Sequence[Any], batched: bool) -> dict[str, np.ndarray]:
    """A stored row with the batch axis that was taken away."""
    ranks = {spec.name: len(spec.shape) for spec in metadata}
    return {
        name: array[np.newaxis] if batched and ranks.get(name, array.ndim + 1) == array.ndim + 1 else array
        for name, array in row.items()
    }
