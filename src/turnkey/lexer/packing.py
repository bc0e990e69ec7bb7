"""``flush``: everything that a context remembers as one zip, ``<name>.lexer``.

Members, flat and in this order: ``<Class>.onnx`` with its external data, ``<Class>.csv``, the samples that the ONNX
file was validated with (``<Class>.samples.json`` and ``.npz``), and ``<name>.toml`` last.

The finished file is read back, every member compared with what was packed, before it appears under its name.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.lexer.metadata import HEADING, metadata_of
from turnkey.lexer.result_table import csv_text
from turnkey.lexer.row import BenchmarkRow
from turnkey.lexer.run import Run
from turnkey.lexer.toml_text import toml_text
from turnkey.model.samples import SampleSet, write_samples
from turnkey.pipeline import durable
from turnkey.pipeline.archive import read_archive, write_archive
from turnkey.pipeline.source_file import file_sha256
from turnkey.settings import packing_time

SAMPLES_LIMIT_BYTES = 64 << 20
"""Larger inputs and outputs are not packed: the artifact is to be sent to a colleague."""


def pack(path: Path, runs: Sequence[Run], *, created: datetime, tags: Mapping[str, str]) -> list[str]:
    """Write the artifact; returns what is missing of the three files that the documentation promises.

    Raises:
        InputError: the directory cannot be written; an older artifact stays as it is.
        ArtifactError: what was written is not what was to be packed (a failing disk); nothing appears.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="turnkey-lexer-samples-") as scratch:
            members = _members(runs, Path(scratch))
            stem, moment = path.name.removesuffix(".lexer"), datetime.fromtimestamp(packing_time(), UTC)
            first = min(created, moment)
            write_lexer(
                path,
                members,
                lambda files: metadata_of(
                    stem, runs, created=first, updated=moment, files=files, tags={**_tags(runs), **tags}
                ),
            )
    except OSError as error:
        raise durable.cannot_write(path, error) from error
    return _missing(runs)


def write_lexer(
    path: Path,
    members: Mapping[str, bytes | Path],
    metadata: Callable[[list[dict[str, Any]]], Mapping[str, Any]],
) -> None:
    """Write an archive with its metadata as last member; it is read back before it appears.

    Args:
        metadata: from the name, size and digest of every other member to the document.

    Raises:
        ArtifactError: what was written is not what was to be packed.
    """
    files = [
        {"name": name, "bytes": size_bytes(content), "sha256": digest(content)} for name, content in members.items()
    ]
    text = toml_text({key: value for key, value in metadata(files).items() if value != []}, heading=HEADING).encode()
    whole = {**members, f"{path.name.removesuffix('.lexer')}.toml": text}
    digests = {**{str(each["name"]): str(each["sha256"]) for each in files}, [*whole][-1]: digest(text)}
    write_archive(path, whole, check=lambda written: _reread(written, digests))


def _members(runs: Sequence[Run], scratch: Path) -> dict[str, bytes | Path]:
    """Everything but the metadata, in the order of the archive."""
    members: dict[str, bytes | Path] = {}
    latest = {run.model_stem: run for run in runs if run.export is not None}
    for run in latest.values():
        members.update({file.name: file for file in run.onnx_files})
    members.update(_tables(runs))
    for stem, run in latest.items():
        members.update(_samples(run, stem, scratch))
    return members


def digest(content: bytes | Path) -> str:
    """SHA-256 of some content, 64 hex digits; of a file in pieces."""
    return hashlib.sha256(content).hexdigest() if isinstance(content, bytes) else file_sha256(content)


def size_bytes(content: bytes | Path) -> int:
    return len(content) if isinstance(content, bytes) else content.stat().st_size


def _tables(runs: Sequence[Run]) -> dict[str, bytes]:
    """One CSV file per class, with the rows of all its runs."""
    rows: dict[str, list[BenchmarkRow]] = {}
    for run in runs:
        if run.rows and run.settings.enable_csv:
            rows.setdefault(run.stem, []).extend(run.rows)
    return {f"{stem}.csv": csv_text(found).encode() for stem, found in rows.items()}


def _samples(run: Run, stem: str, scratch: Path) -> dict[str, Path]:
    """The input and torch's outputs for it, as the product stores samples elsewhere too."""
    if run.inputs is None or run.outputs is None:
        return {}
    if sum(array.nbytes for array in (*run.inputs.values(), *run.outputs.values())) > SAMPLES_LIMIT_BYTES:
        return {}
    directory = scratch / stem
    write_samples(SampleSet(structure=None, inputs=(run.inputs,), outputs=(run.outputs,)), directory)
    arrays = directory / "arrays.npz"
    with read_archive(directory / "0.npz") as written:  # numpy stamps its archives with the time of writing
        write_archive(
            arrays, {name: written.read(name, limit_bytes=2 * SAMPLES_LIMIT_BYTES) for name in sorted(written.names)}
        )
    return {f"{stem}.samples.json": directory / "samples.json", f"{stem}.samples.npz": arrays}


def _reread(written: Path, digests: Mapping[str, str]) -> None:
    with read_archive(written) as archive:
        found = {name: archive.sha256(name) for name in archive.names}
    if found != digests:
        wrong = sorted(name for name in {*found, *digests} if found.get(name) != digests.get(name))
        raise ArtifactError(
            "the artifact that was written is not what was packed",
            evidence=f"{written}: {', '.join(wrong)}",
            remedy="check the disk, and flush again",
        )


def _missing(runs: Sequence[Run]) -> list[str]:
    """What a reader of the documentation will look for in vain, and why."""
    if not runs:
        return ["nothing was exported or benchmarked: it holds its metadata only"]
    said = []
    if all(run.export is None for run in runs):
        said.append("no ONNX file: enable_onnxruntime and enable_onnx_checks were off")
    if not any(run.rows for run in runs):
        said.append("no CSV file: nothing was benchmarked")
    elif not any(run.rows and run.settings.enable_csv for run in runs):
        said.append("no CSV file: enable_csv was off")
    return said


def _tags(runs: Sequence[Run]) -> dict[str, str]:
    return {key: value for run in runs for key, value in run.settings.tags.items()}
