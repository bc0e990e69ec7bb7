"""ONNX files with their external data: read, checked, written, copied and named by their bytes as one thing.

A file that comes from a user is untrusted. External data must lie in the file's own directory, be a regular file
and hold every range that the model refers to; sizes are looked at before anything is read.

Trade-offs: weights are external from `EXTERNAL_FROM_BYTES` on, since protobuf stops at 2 GiB and many readers long
before; a smaller model stays one file, which is easier to move.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path, PurePosixPath

import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import ExternalDataInfo, load_external_data_for_model, uses_external_data

from turnkey.errors import InputError
from turnkey.file_digest import digest_of_files
from turnkey.formats.onnx_graph import names_in, tensors_of
from turnkey.whole_file import put_in_place

PROTOBUF_LIMIT_BYTES = 2**31 - 1
EXTERNAL_FROM_BYTES = 1_500_000_000
_SMALL_TENSOR_BYTES = 1024
_KNOWN_TYPES = frozenset(TensorProto.DataType.values())
_NO_NUMBERS = frozenset({TensorProto.STRING, TensorProto.UNDEFINED})
_PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6}
"""Types whose elements share bytes; an older onnx lacks some."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxFile:
    """One ONNX file on disk.

    Attributes:
        path: of the model.
        external: its external data files, sorted by name.
        sha256: of the model's bytes followed by those of the external files in the order of their names.
        size_bytes: of all of them.
    """

    path: Path
    external: tuple[Path, ...]
    sha256: str
    size_bytes: int


def describe_file(path: Path) -> OnnxFile:
    """Digest and size of a file with its external data.

    Raises:
        InputError: not a readable ONNX file, or external data that is missing or out of bounds.
    """
    external = external_files(path)
    digest = digest_of_files((path, *external))
    return OnnxFile(path=path, external=external, sha256=digest.sha256, size_bytes=digest.size_bytes)


def stored_bytes(path: Path) -> int:
    """Size of a file with its external data, which is not read. Raises InputError as `load_graph`."""
    return sum(part.stat().st_size for part in (path, *external_files(path)))


def load_graph(path: Path) -> onnx.ModelProto:
    """The model without its external data, whose references are checked.

    Raises:
        InputError: missing, a directory, empty, too large for protobuf, not ONNX, with numbers of an unknown type, or
            with external data that is missing, of another size than its tensor, or outside of the file's directory.
    """
    model = _parse(path)
    for tensor in tensors_of(model):
        if tensor.data_type not in _KNOWN_TYPES:
            raise InputError(
                f"{path.name} holds numbers of a type that is not known",
                evidence=f"{path}: tensor {tensor.name!r} has data type {tensor.data_type}, onnx {onnx.__version__}",
                remedy="export the model again, or install a newer onnx",
            )
        if uses_external_data(tensor):
            _external_path(path, tensor)
    return model


def load_model(path: Path) -> onnx.ModelProto:
    """The model with all its weights in memory. Raises InputError as `load_graph` does."""
    model = load_graph(path)
    if any(uses_external_data(tensor) for tensor in tensors_of(model)):
        load_external_data_for_model(model, str(path.parent))
        for tensor in tensors_of(model):
            if tensor.data_location == TensorProto.EXTERNAL:
                tensor.data_location = TensorProto.DEFAULT
                del tensor.external_data[:]
    return model


def check_file(path: Path) -> None:
    """Let onnx.checker look at a file with its external data, whatever its size.

    Raises:
        InputError: what `load_graph` refuses, or a model that breaks the ONNX specification.
    """
    model = load_graph(path)
    try:
        if strange := next((name for name in names_in(model) if isinstance(name, bytes)), None):
            raise ValueError(f"the name {strange!r} is no UTF-8")
        onnx.checker.check_model(str(path))
    except (onnx.checker.ValidationError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path.name} is not a valid ONNX model",
            evidence=f"{path}: {_first_lines(str(error))}",
            remedy="export the model again, with a newer exporter or another opset",
        ) from error


def external_files(path: Path) -> tuple[Path, ...]:
    """The files beside a model that hold its external data, sorted by name. Raises InputError as `load_graph`."""
    model = _parse(path)
    return tuple(sorted({_external_path(path, t) for t in tensors_of(model) if uses_external_data(t)}))


def save_model(
    model: onnx.ModelProto,
    path: Path,
    *,
    external: bool | None = None,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a model that is in memory, with its weights in ``<file>.data`` where it is large.

    The files appear under their names complete, or not at all: the data file first, then the model.

    Args:
        model: with all weights inside; left as it was except for where large models keep their bytes.
        path: its directory is made; older files of these names are replaced.
        external: whether weights go to ``<file>.data``; by default from `EXTERNAL_FROM_BYTES` on.
        check: called with the finished file before it appears under its name; raises to refuse it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    data_path = data_path_of(path)
    if external is None:
        external = _weight_bytes(model) > EXTERNAL_FROM_BYTES
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as scratch:
        written = Path(scratch) / path.name
        if external:
            onnx.save_model(
                model,
                str(written),
                save_as_external_data=True,
                all_tensors_to_one_file=True,
                location=data_path.name,
                size_threshold=_SMALL_TENSOR_BYTES,
            )
        else:
            written.write_bytes(model.SerializeToString(deterministic=True))
        if check is not None:
            check(written)
        written_data = written.with_name(data_path.name)
        if written_data.exists():  # weights that are all small stay inside
            os.chmod(written_data, written.stat().st_mode)  # onnx makes it the owner's alone
        _publish(Path(scratch), path)


def copy_model(source: Path, target: Path) -> None:
    """Copy a file with its external data, which becomes one file ``<target>.data`` beside it.

    A model without external data is copied byte for byte.

    Raises:
        InputError: as `load_graph`.
    """
    if external_files(source):
        save_model(load_model(source), target, external=True)
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".saving-") as scratch:
        shutil.copyfile(source, Path(scratch) / target.name)
        _publish(Path(scratch), target)


def data_path_of(path: Path) -> Path:
    """Where the external data of a file that we write lies: ``model.onnx.data``."""
    return path.with_name(path.name + ".data")


def opset_of(model: onnx.ModelProto) -> int:
    """The opset of the standard operators; 0 if the model imports none."""
    return max((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), default=0)


def _parse(path: Path) -> onnx.ModelProto:
    _refuse_unreadable(path)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except DecodeError as error:
        raise _not_onnx(path, f"{path}: {error}") from error
    if not model.HasField("graph") or (not model.opset_import and not model.graph.node):
        raise _not_onnx(path, f"{path}: it holds no graph")
    return model


def _refuse_unreadable(path: Path) -> None:
    if path.is_dir():
        raise InputError(
            f"{path} is a directory, not an ONNX file",
            evidence=str(path),
            remedy=f"turnkey -i '{path}/*.onnx' ...",
        )
    try:
        size_bytes = path.stat().st_size
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise InputError(
            f"{path.name} cannot be read",
            evidence=f"{path}: {error.strerror or error}",
            remedy="check the path and the rights of the file",
        ) from error
    if size_bytes == 0:
        raise _not_onnx(path, f"{path}: the file is empty")
    if size_bytes > PROTOBUF_LIMIT_BYTES:
        raise InputError(
            f"{path.name} is larger than an ONNX file can be",
            evidence=f"{path}: {size_bytes} bytes; protobuf reads at most {PROTOBUF_LIMIT_BYTES}",
            remedy="save the model with external data: onnx.save(model, path, save_as_external_data=True)",
        )


def _not_onnx(path: Path, evidence: str) -> InputError:
    return InputError(
        f"{path.name} is not an ONNX model",
        evidence=evidence,
        remedy="export or download the file again (a pointer file of git-lfs is no model)",
    )


def _external_path(model_path: Path, tensor: TensorProto) -> Path:
    """The external data file of a tensor, after it was proved harmless and complete."""

    def refuse(reason: str, remedy: str = "export the model again, with its external data beside it") -> InputError:
        return InputError(
            f"{model_path.name} has external data that cannot be used",
            evidence=f"{model_path}: tensor {tensor.name!r} is in {location!r}: {reason}",
            remedy=remedy,
        )

    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    try:
        info = ExternalDataInfo(tensor)
        offset, length = int(info.offset or 0), int(info.length or 0)
    except (ValueError, TypeError) as error:
        raise refuse(f"its range is not a number ({error})") from error
    parts = PurePosixPath(location.replace("\\", "/"))
    if not location or parts.is_absolute() or ".." in parts.parts or Path(location).is_absolute():
        raise refuse("external data must lie in the directory of the model")
    path = model_path.parent / Path(*parts.parts)
    directory = Path(os.path.realpath(model_path.parent))
    if not Path(os.path.realpath(path)).is_relative_to(directory):
        raise refuse("the path leads out of the directory of the model")
    if not path.exists():
        raise refuse("there is no such file", f"put {location} beside {model_path.name}; both belong together")
    if not path.is_file() or path.is_symlink():
        raise refuse("it is not a regular file")
    if tensor.data_type in _NO_NUMBERS:
        raise refuse("only numbers can be external")
    size = path.stat().st_size
    if offset < 0 or length < 0 or offset + length > size:
        raise refuse(f"it has {size} bytes, the model wants bytes {offset} to {offset + length}")
    if (length or size - offset) != (needed := _stored_bytes(tensor)):
        raise refuse(f"it gives {length or size - offset} bytes, {list(tensor.dims)} numbers take {needed}")
    return path


def _weight_bytes(model: onnx.ModelProto) -> int:
    """From the shapes: to ask protobuf for the size of a tensor beyond 2 GiB is an error."""
    return sum(_stored_bytes(tensor) for tensor in tensors_of(model) if tensor.data_type not in _NO_NUMBERS)


def _stored_bytes(tensor: TensorProto) -> int:
    bits = _PACKED_BITS.get(TensorProto.DataType.Name(tensor.data_type))
    if bits is None:
        bits = 8 * int(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize)
    return -int(-prod(tensor.dims) * bits // 8)


def _publish(scratch: Path, path: Path) -> None:
    """Move the finished files to their names: data before the model that refers to it."""
    data_path = data_path_of(path)
    for part in (scratch / data_path.name, scratch / path.name):
        if part.exists():
            put_in_place(part, path.parent / part.name)
    if not (scratch / data_path.name).exists() and not _refers_to(path, data_path):
        data_path.unlink(missing_ok=True)


def _refers_to(path: Path, data_path: Path) -> bool:
    return data_path.exists() and data_path in external_files(path)


def _first_lines(text: str, count: int = 3) -> str:
    return "\n".join(text.strip().splitlines()[:count])
