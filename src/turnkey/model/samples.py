"""Captured inputs and reference outputs of one model, in memory and on disk.

On disk (``<build>/samples/``): ``samples.json`` says what there is, ``<k>.npz`` holds the arrays of one sample; no
pickle. Dtypes that numpy lacks (bfloat16, float8) are stored as their bits, with the name of the dtype beside.

A newer set takes numbers ``<k>`` that the older one does not use, then replaces ``samples.json``, then removes the
older files: a process killed at any point leaves one whole set. Whoever reads believes nothing: names, sizes,
shapes and dtypes are checked against ``samples.json`` before an array is read, and compressed members are refused,
so that no file can claim more memory than it has bytes.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from turnkey.errors import ArtifactError
from turnkey.model.call import CallStructure
from turnkey.model.npz import HEADER_LIMIT_BYTES, read_member, regular_size
from turnkey.whole_file import whole_file

if TYPE_CHECKING:
    import numpy as np  # at run time only inside functions: a script sets its thread variables before numpy loads

Sample: TypeAlias = "dict[str, np.ndarray]"
"""One set of named inputs or outputs, in host memory."""

_VERSION = 1
_INDEX = "samples.json"
_INDEX_LIMIT_BYTES = 16 << 20
_FILE_NAME = re.compile(r"[0-9]{1,9}\.npz")


@dataclass(frozen=True, slots=True, kw_only=True)
class SampleSet:
    """Samples of one (model, signature).

    Attributes:
        structure: how an input sample becomes a call; None for a source that takes named arrays (ONNX).
        inputs: at least one sample; all have the same names and dtypes.
        outputs: reference outputs of the source model, one per input or None where not computed yet.
        seed: of the generator that made or chose them; None for what a script really used.
    """

    structure: CallStructure | None
    inputs: tuple[Sample, ...]
    outputs: tuple[Sample | None, ...]
    seed: int | None = None


def write_samples(samples: SampleSet, directory: Path) -> None:
    """Write a sample set; an older one in that directory is replaced as a whole.

    Raises:
        ValueError: the call has an opaque argument, or an array holds Python objects, and cannot be written.
        OSError: the directory cannot be written.
    """
    structure = samples.structure.to_dict() if samples.structure is not None else None
    directory.mkdir(parents=True, exist_ok=True)
    older = sorted(path for path in directory.iterdir() if _FILE_NAME.fullmatch(path.name))
    first = 1 + max((int(path.stem) for path in older), default=-1)
    entries = []
    for k, (inputs, outputs) in enumerate(zip(samples.inputs, samples.outputs, strict=True), start=first):
        arrays: dict[str, np.ndarray] = {}
        entry: dict[str, Any] = {"file": f"{k}.npz"}
        for side, sample in (("inputs", inputs), ("outputs", outputs)):
            entry[side] = None if sample is None else _store(sample, side, arrays)
        _write_arrays(arrays, directory / f"{k}.npz")
        entries.append(entry)
    index = {"samples_version": _VERSION, "seed": samples.seed, "structure": structure, "samples": entries}
    with whole_file(directory / _INDEX) as unfinished:
        unfinished.write_text(json.dumps(index, indent=1), encoding="utf-8")
    for path in older:
        path.unlink()


def read_samples(directory: Path) -> SampleSet:
    """Read a sample set.

    Raises:
        ArtifactError: missing, truncated, inconsistent or hostile files.
    """
    path = directory / _INDEX
    try:
        return _read(path)
    except ArtifactError:
        raise
    except (
        OSError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
        zipfile.BadZipFile,
        EOFError,
    ) as error:
        # All that json, zipfile, numpy's header reader and a wrongly shaped index can raise.
        raise _refuse(path, f"{type(error).__name__}: {error}") from error


def _read(path: Path) -> SampleSet:
    if regular_size(path) > _INDEX_LIMIT_BYTES:
        raise _refuse(path, f"larger than {_INDEX_LIMIT_BYTES} bytes")
    index = json.loads(path.read_bytes())
    if index["samples_version"] != _VERSION:
        raise _refuse(path, f"samples_version {index['samples_version']!r}; this turnkey reads {_VERSION}")
    if set(index) != {"samples_version", "seed", "structure", "samples"}:
        raise _refuse(path, f"keys {sorted(index)}")
    if not index["samples"]:
        raise _refuse(path, "no sample is listed")
    structure = None if index["structure"] is None else CallStructure.from_dict(index["structure"])
    inputs: list[Sample] = []
    outputs: list[Sample | None] = []
    for entry in index["samples"]:
        if set(entry) != {"file", "inputs", "outputs"} or not _FILE_NAME.fullmatch(entry["file"]):
            raise _refuse(path, f"sample {entry.get('file')!r}")
        arrays = _read_arrays(path.parent / entry["file"], entry)
        inputs.append(arrays["inputs"])
        outputs.append(arrays.get("outputs"))
    layout = [(name, array.dtype) for name, array in inputs[0].items()]
    if any([(name, array.dtype) for name, array in sample.items()] != layout for sample in inputs):
        raise _refuse(path, "the samples differ in names or dtypes")
    if structure is not None and set(structure.names) != set(inputs[0]):
        raise _refuse(path, f"the call takes {structure.names}, the samples hold {tuple(inputs[0])}")
    seed = index["seed"]
    if seed is not None and type(seed) is not int:
        raise _refuse(path, f"seed {seed!r}")
    return SampleSet(structure=structure, inputs=tuple(inputs), outputs=tuple(outputs), seed=seed)


def _store(sample: Mapping[str, np.ndarray], side: str, arrays: dict[str, np.ndarray]) -> list[dict[str, Any]]:
    """Put a sample's arrays under names of our own; returns what samples.json says of them."""
    import numpy as np

    described = []
    for position, (name, array) in enumerate(sample.items()):
        array = np.asarray(array)
        if array.dtype == object:
            if not all(isinstance(item, str) for item in array.flat):
                raise ValueError(f"{name} holds Python objects and cannot be written to a file")
            array = array.astype(str)
        described.append({"name": name, "dtype": _dtype_name(array.dtype), "shape": list(array.shape)})
        bits = array if array.dtype.isbuiltin == 1 or array.dtype.kind in "US" else array.view(f"u{array.itemsize}")
        arrays[f"{side}.{position}"] = bits
    return described


def _dtype_name(dtype: np.dtype) -> str:
    return dtype.str if dtype.kind in "US" else dtype.name


def _dtype_of(name: str) -> np.dtype:
    import ml_dtypes
    import numpy as np

    if re.fullmatch(r"(bool|u?int[0-9]+|float[0-9]+|complex[0-9]+|[<>|][US][0-9]+)", name):
        return np.dtype(name)
    if re.fullmatch(r"(bfloat16|float[0-9]+_[a-z0-9]+|u?int[24])", name):
        dtype: np.dtype = np.dtype(getattr(ml_dtypes, name))
        return dtype
    raise ValueError(f"dtype {name!r}")


def _read_arrays(path: Path, entry: Mapping[str, Any]) -> dict[str, Sample]:
    size = regular_size(path)
    samples: dict[str, Sample] = {}
    with zipfile.ZipFile(path) as archive:
        members = {info.filename: info for info in archive.infolist()}
        for side in ("inputs", "outputs"):
            if entry[side] is None:
                continue
            samples[side] = {}
            for position, described in enumerate(entry[side]):
                info = members.pop(f"{side}.{position}.npy", None)
                if info is None:
                    raise _refuse(path, f"{side}.{position} is missing")
                if info.compress_type != zipfile.ZIP_STORED or info.file_size > size:
                    raise _refuse(path, f"{info.filename} is compressed or larger than the file")
                name = str(described["name"])
                samples[side][name] = _read_array(archive, info, described, path)
        if members:
            raise _refuse(path, f"unknown members {sorted(members)[:3]}")
    return samples


def _read_array(
    archive: zipfile.ZipFile, info: zipfile.ZipInfo, described: Mapping[str, Any], path: Path
) -> np.ndarray:
    import numpy as np

    dtype = _dtype_of(str(described["dtype"]))
    shape = tuple(described["shape"])
    if any(type(extent) is not int or extent < 0 for extent in shape):
        raise _refuse(path, f"shape {shape}")
    size = math.prod(shape) * dtype.itemsize
    if not size <= info.file_size <= size + HEADER_LIMIT_BYTES:
        raise _refuse(path, f"{info.filename} has {info.file_size} bytes, its shape and dtype say {size}")
    array = read_member(archive, info)
    plain = dtype.isbuiltin == 1 or dtype.kind in "US"
    if array.shape != shape or array.dtype != (dtype if plain else np.dtype(f"u{dtype.itemsize}")):
        raise _refuse(path, f"{info.filename} is {array.dtype}{array.shape}, samples.json says {dtype}{shape}")
    return array if plain else array.view(dtype)


def _write_arrays(arrays: Mapping[str, np.ndarray], path: Path) -> None:
    import numpy as np

    with path.open("xb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
        file.flush()
        os.fsync(file.fileno())


def _refuse(path: Path, reason: str) -> ArtifactError:
    return ArtifactError(
        "captured samples cannot be used",
        evidence=f"{path}: {reason}",
        remedy="run the input again from its first tool to capture them anew",
    )
