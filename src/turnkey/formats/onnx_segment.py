"""Parts of an ONNX file, cut out and run without ever holding its weights.

1. `open_weightless` reads the graph of a file and leaves its weights on disk: they are copied, piece by piece, into
   one file of external data that ONNX Runtime maps into memory as it needs them.
2. `cut` takes the nodes between some values and some others out of such a graph. The cut refers to the same weights,
   so that it costs nothing, and only those of its own nodes are ever touched.

Why not onnx.utils.extract_model: it loads all weights, twice for a moment, where a model of 10 GB is looked at with
16 GB of memory.

Scope: weights are initialisers of the outermost graph with ``raw_data``; anything else stays in the graph.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from google.protobuf.message import DecodeError
from onnx import TensorProto
from onnx.external_data_helper import load_external_data_for_model, set_external_data

from turnkey.errors import InputError
from turnkey.formats.failure_text import one_line
from turnkey.formats.onnx_file import external_files
from turnkey.formats.onnx_graph import names_read

_WEIGHTS = "weights.bin"
_LEFT_IN_GRAPH_BYTES = 1024
_CHUNK_BYTES = 1 << 20
_ALIGNMENT = 64
_GRAPH_OF_MODEL, _INITIALIZER_OF_GRAPH, _RAW_DATA_OF_TENSOR = 7, 5, 9
"""Field numbers of onnx.proto, which are its format and never change."""
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightlessModel:
    """A graph whose weights lie in files of its directory.

    Attributes:
        model: without the bytes of its weights.
        directory: where its external data is; cuts are written there.
        element_types: number in ``onnx.TensorProto`` of each value whose type is known.
        shapes: of each value whose rank is known; free extents are None.
    """

    model: onnx.ModelProto
    directory: Path
    element_types: Mapping[str, int]
    shapes: Mapping[str, tuple[int | None, ...]]

    @property
    def output_names(self) -> tuple[str, ...]:
        return tuple(value.name for value in self.model.graph.output)


@dataclass(frozen=True, slots=True)
class _Field:
    """One field of a protobuf message in a file: where it begins, where its content does, and where both end."""

    number: int
    kind: int
    begin: int
    content: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.content


def open_weightless(path: Path, directory: Path) -> WeightlessModel:
    """The graph of a file, with its weights copied into ``directory``.

    Raises:
        InputError: not a readable ONNX file.
    """
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("rb") as file, (directory / _WEIGHTS).open("wb") as weights:
            model = _read(file.fileno(), os.fstat(file.fileno()).st_size, weights.fileno())
    except (DecodeError, IndexError, ValueError) as error:
        raise InputError(
            f"{path.name} is not an ONNX model", evidence=f"{path}: {error}", remedy="export or convert it again"
        ) from error
    for external in external_files(path) if _refers_elsewhere(model) else ():
        copied = directory / external.relative_to(path.parent)
        copied.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(external, copied)  # onnx takes links of any kind for an attack
    types, shapes = _known_values(model)
    return WeightlessModel(model=model, directory=directory, element_types=types, shapes=shapes)


def cut(
    whole: WeightlessModel, *, outputs: Sequence[str], given: Collection[str], feeds: Mapping[str, np.dtype]
) -> onnx.ModelProto:
    """The nodes that compute ``outputs`` from the values ``given`` and from inputs of the whole.

    Args:
        outputs: values to compute; none of them is in ``given``.
        given: values that need not be computed. Those that are needed become inputs.
        feeds: dtype of each value that may become an input and whose type the graph does not tell.

    Raises:
        KeyError: a value is neither computed nor given.
    """
    graph = whole.model.graph
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    weights = {tensor.name: tensor for tensor in graph.initializer}
    entries = {value.name for value in graph.input} - set(weights)
    wanted, needed, used, reached = list(outputs), set[int](), set[str](), dict[str, None]()
    while wanted:
        name = wanted.pop()
        if name in weights:
            used.add(name)
        elif (name in given and name not in outputs) or name in entries:
            reached[name] = None
        elif name in producers:
            if producers[name] not in needed:
                needed.add(producers[name])
                wanted.extend(names_read(graph.node[producers[name]]))
        else:
            raise KeyError(name)
    part = onnx.ModelProto(ir_version=whole.model.ir_version, producer_name="turnkey")
    part.opset_import.extend(whole.model.opset_import)
    part.functions.extend(whole.model.functions)
    part.graph.name = "part"
    part.graph.node.extend(graph.node[index] for index in sorted(needed))
    part.graph.initializer.extend(weights[name] for name in sorted(used))
    for name in sorted(reached):
        element = whole.element_types.get(name) or onnx.helper.np_dtype_to_tensor_dtype(feeds[name])
        part.graph.input.append(onnx.helper.make_tensor_value_info(name, element, None))
    part.graph.output.extend(onnx.ValueInfoProto(name=name) for name in outputs)
    return part


def with_weights(part: onnx.ModelProto, directory: Path) -> onnx.ModelProto:
    """A cut with the bytes of its weights inside, to be written anywhere; the weights of other nodes are not read."""
    full = onnx.ModelProto()
    full.CopyFrom(part)
    load_external_data_for_model(full, str(directory))
    for tensor in full.graph.initializer:
        tensor.data_location = TensorProto.DEFAULT
        del tensor.external_data[:]
    return full


def _read(source: int, size: int, weights: int) -> onnx.ModelProto:
    rest, graph, large = bytearray(), bytearray(), []
    for field in _fields(source, 0, size):
        if (field.number, field.kind) != (_GRAPH_OF_MODEL, _BYTES):
            rest += _bytes(source, field.begin, field.end)
            continue
        for inner in _fields(source, field.content, field.end):
            if inner.number == _INITIALIZER_OF_GRAPH and inner.size > _LEFT_IN_GRAPH_BYTES:
                large.append(_without_data(source, inner, weights))
            else:
                graph += _bytes(source, inner.begin, inner.end)
    model = onnx.ModelProto()
    model.ParseFromString(bytes(rest))
    model.graph.ParseFromString(bytes(graph))
    model.graph.initializer.extend(large)
    if not model.opset_import:
        raise ValueError("it holds no graph")
    return model


def _without_data(source: int, field: _Field, weights: int) -> onnx.TensorProto:
    """A tensor whose raw data was appended to the file of weights."""
    tensor, plain = TensorProto(), bytearray()
    raw: _Field | None = None
    for inner in _fields(source, field.content, field.end):
        if inner.number == _RAW_DATA_OF_TENSOR:
            raw = inner
        else:
            plain += _bytes(source, inner.begin, inner.end)
    tensor.ParseFromString(bytes(plain))
    if raw is not None:
        offset = -(-os.lseek(weights, 0, os.SEEK_END) // _ALIGNMENT) * _ALIGNMENT
        os.lseek(weights, offset, os.SEEK_SET)
        for start in range(raw.content, raw.end, _CHUNK_BYTES):
            os.write(weights, os.pread(source, min(_CHUNK_BYTES, raw.end - start), start))
        # onnx refuses to note a place for a tensor without raw data, and takes an empty one.
        tensor.raw_data = b""
        set_external_data(tensor, _WEIGHTS, offset=offset, length=raw.size)
        tensor.ClearField("raw_data")
    return tensor


def _fields(source: int, start: int, end: int) -> Iterator[_Field]:
    """The fields of the message in bytes ``start`` to ``end`` of a file. Raises ValueError if it is none."""
    while start < end:
        tag, content = _varint(source, start)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            stop = _varint(source, content)[1]
        elif kind == _BYTES:
            length, content = _varint(source, content)
            stop = content + length
        elif kind in (_FIXED32, _FIXED64):
            stop = content + (4 if kind == _FIXED32 else 8)
        else:
            raise ValueError(f"byte {start} begins no field")
        if stop > end:
            raise ValueError(f"the field at byte {start} ends behind its message")
        yield _Field(number, kind, start, content, stop)
        start = stop


def _varint(source: int, start: int) -> tuple[int, int]:
    """A number of protobuf's variable length, and where it ends."""
    value = 0
    for index, byte in enumerate(os.pread(source, 10, start)):
        value |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            return value, start + index + 1
    raise ValueError(f"byte {start} begins no number")


def _bytes(source: int, start: int, end: int) -> bytes:
    return os.pread(source, end - start, start)


def _refers_elsewhere(model: onnx.ModelProto) -> bool:
    return any(
        entry.value != _WEIGHTS
        for tensor in model.graph.initializer
        for entry in tensor.external_data
        if entry.key == "location"
    )


def _known_values(model: onnx.ModelProto) -> tuple[dict[str, int], dict[str, tuple[int | None, ...]]]:
    try:
        inferred = onnx.shape_inference.infer_shapes(model)
    except (onnx.shape_inference.InferenceError, RuntimeError) as error:
        print(f"types of inner values are not known: {one_line(error)}")
        inferred = model
    graph = inferred.graph
    types: dict[str, int] = {}
    shapes: dict[str, tuple[int | None, ...]] = {}
    for value in (*graph.input, *graph.output, *graph.value_info):
        tensor = value.type.tensor_type
        if tensor.elem_type:
            types[value.name] = tensor.elem_type
        if tensor.HasField("shape"):
            shapes[value.name] = tuple(d.dim_value if d.HasField("dim_value") else None for d in tensor.shape.dim)
    return types, shapes
