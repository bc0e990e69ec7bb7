"""Hash of an ONNX file: of its graph, whatever its names and weights are. Needs onnx, not torch.

Tensors are referred to by position: input ``i``, output ``j`` of node ``k``, initialiser ``n`` in order of first
use, value of an outer graph. So renaming changes nothing; operators, attributes, wiring, shapes and dtypes do.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from turnkey.errors import InputError
from turnkey.model.canonical import ModelHash, WeightBytes, digest_of, weights_digest

_VALUE_LIMIT_BYTES = 1024
"""Tensor attributes up to this size count with their values (a shape, an axis); larger ones are weights."""
_CHUNK_BYTES = 1 << 22


def onnx_hash(path: Path) -> ModelHash:
    """Hash of an ONNX file, whose basis is ``graph``; external data is not read.

    Raises:
        InputError: not an ONNX file.
    """
    model = _load(path)
    dimensions: dict[str, str] = {}
    functions = {(function.domain, function.name): function for function in model.functions}
    document = {
        "opsets": sorted([entry.domain or "ai.onnx", entry.version] for entry in model.opset_import),
        "graph": _graph(model.graph, dimensions, outer={}),
        "functions": [_function(function) for _, function in sorted(functions.items())],
    }
    return ModelHash(digest_of(document), "graph")


def weights_hash_of_onnx(path: Path) -> str:
    """8 hex digits over name, shape, dtype and bytes of the initialisers, external data included.

    Raises:
        InputError: not an ONNX file, or its external data is missing or shorter than it says.
    """
    model = _load(path)
    initializers = sorted(model.graph.initializer, key=lambda tensor: str(tensor.name))
    return weights_digest(
        WeightBytes(tensor.name, tuple(tensor.dims), _dtype(tensor.data_type), _tensor_bytes(tensor, path.parent))
        for tensor in initializers
    )


def _load(path: Path) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except (OSError, DecodeError) as error:
        raise InputError(
            f"{path.name} cannot be read as an ONNX file",
            evidence=f"{path}: {error}",
            remedy='python -c "import sys, onnx; onnx.checker.check_model(sys.argv[1])" ' + str(path),
        ) from error
    return model


def _graph(graph: Any, dimensions: dict[str, str], outer: Mapping[str, Any]) -> dict[str, Any]:
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    sparse = {tensor.values.name: tensor for tensor in graph.sparse_initializer}
    inputs = [value for value in graph.input if value.name not in initializers]
    references: dict[str, Any] = {name: ["outer", reference] for name, reference in outer.items()}
    references |= {value.name: ["input", index] for index, value in enumerate(inputs)}
    weights: list[Any] = []

    def refer(name: str) -> Any:
        if not name:
            return None
        if name not in references:
            if name in initializers:
                tensor = initializers[name]
                weights.append([list(tensor.dims), _dtype(tensor.data_type)])
            elif name in sparse:
                tensor = sparse[name]
                weights.append([list(tensor.dims), _dtype(tensor.values.data_type), "sparse"])
            else:
                return ["undefined"]
            references[name] = ["weight", len(weights) - 1]
        return references[name]

    nodes = _nodes(graph.node, refer, references, dimensions)
    outputs = [[refer(value.name), _value_type(value, dimensions)] for value in graph.output]
    return {
        "inputs": [_value_type(value, dimensions) for value in inputs],
        "weights": weights,
        "nodes": nodes,
        "outputs": outputs,
    }


def _function(function: Any) -> dict[str, Any]:
    references: dict[str, Any] = {name: ["input", index] for index, name in enumerate(function.input)}
    nodes = _nodes(function.node, references.get, references, {})
    return {
        "name": [function.domain, function.name],
        "opsets": sorted([entry.domain or "ai.onnx", entry.version] for entry in function.opset_import),
        "attributes": sorted(function.attribute),
        "defaults": [_attribute(item, {}, {}) for item in function.attribute_proto],
        "inputs": len(function.input),
        "nodes": nodes,
        "outputs": [references.get(name) for name in function.output],
    }


def _nodes(nodes: Any, refer: Any, references: dict[str, Any], dimensions: dict[str, str]) -> list[Any]:
    described = []
    for index, node in enumerate(nodes):
        inputs = [refer(name) for name in node.input]
        attributes = sorted(
            ([item.name, _attribute(item, dimensions, references)] for item in node.attribute),
            key=lambda pair: str(pair[0]),
        )
        described.append([node.domain or "ai.onnx", node.op_type, attributes, inputs, len(node.output)])
        for position, name in enumerate(node.output):
            references[name] = ["node", index, position]
    return described


def _attribute(attribute: Any, dimensions: dict[str, str], outer: Mapping[str, Any]) -> Any:
    import onnx

    if attribute.ref_attr_name:
        return ["reference", attribute.ref_attr_name]
    value = onnx.helper.get_attribute_value(attribute)
    return [attribute.type, _attribute_value(value, dimensions, outer)]


def _attribute_value(value: Any, dimensions: dict[str, str], outer: Mapping[str, Any]) -> Any:
    import onnx

    if isinstance(value, bytes):
        return value.decode("utf-8", "backslashreplace")
    if isinstance(value, onnx.GraphProto):
        return _graph(value, dimensions, outer)
    if isinstance(value, onnx.TensorProto):
        described: list[Any] = [list(value.dims), _dtype(value.data_type)]
        if value.data_location != onnx.TensorProto.EXTERNAL and value.ByteSize() <= _VALUE_LIMIT_BYTES:
            described.append(hashlib.sha256(b"".join(_inline_bytes(value))).hexdigest())
        return described
    if isinstance(value, onnx.SparseTensorProto):
        return [list(value.dims), _dtype(value.values.data_type), "sparse"]
    if isinstance(value, onnx.TypeProto):
        return _type(value, dimensions)
    if isinstance(value, (int, float, str)):
        return value
    return [_attribute_value(item, dimensions, outer) for item in value]


def _value_type(value: Any, dimensions: dict[str, str]) -> Any:
    return _type(value.type, dimensions)


def _type(kind: Any, dimensions: dict[str, str]) -> Any:
    which = kind.WhichOneof("value")
    if which in ("tensor_type", "sparse_tensor_type"):
        tensor = getattr(kind, which)
        if not tensor.HasField("shape"):
            return [which, _dtype(tensor.elem_type), None]
        return [which, _dtype(tensor.elem_type), [_extent(item, dimensions) for item in tensor.shape.dim]]
    if which in ("sequence_type", "optional_type"):
        return [which, _type(getattr(kind, which).elem_type, dimensions)]
    if which == "map_type":
        return [which, _dtype(kind.map_type.key_type), _type(kind.map_type.value_type, dimensions)]
    return [which]


def _extent(dimension: Any, dimensions: dict[str, str]) -> int | str:
    """A number, or the symbolic dimension's position in order of first use."""
    if dimension.HasField("dim_value"):
        return int(dimension.dim_value)
    if not dimension.dim_param:
        return "?"
    return dimensions.setdefault(dimension.dim_param, f"symbol {len(dimensions)}")


def _dtype(number: int) -> str:
    import onnx

    try:
        return str(onnx.TensorProto.DataType.Name(number)).lower()
    except ValueError:  # a newer file than the installed onnx
        return f"type {number}"


def _tensor_bytes(tensor: Any, directory: Path) -> Iterator[bytes | memoryview]:
    import onnx

    if tensor.data_location != onnx.TensorProto.EXTERNAL:
        yield from _inline_bytes(tensor)
        return
    entries = {entry.key: entry.value for entry in tensor.external_data}
    path = directory / entries.get("location", "")
    try:
        if not path.resolve().is_relative_to(directory.resolve()):
            raise InputError(
                f"external data of {tensor.name!r} lies outside of the model's directory", evidence=str(path)
            )
        with path.open("rb") as file:
            file.seek(int(entries.get("offset", 0)))
            remaining = int(entries["length"]) if "length" in entries else path.stat().st_size - file.tell()
            while remaining > 0:
                chunk = file.read(min(_CHUNK_BYTES, remaining))
                if not chunk:
                    raise InputError(
                        f"external data of {tensor.name!r} is shorter than the file says",
                        evidence=f"{path}: {remaining} bytes are missing",
                        remedy="fetch or copy the data file again",
                    )
                remaining -= len(chunk)
                yield chunk
    except (OSError, ValueError) as error:
        raise InputError(
            f"external data of {tensor.name!r} cannot be read",
            evidence=f"{path}: {error}",
            remedy="keep the .data file beside its .onnx file",
        ) from error


def _inline_bytes(tensor: Any) -> list[bytes]:
    """Bytes of an initialiser stored in the file, the same for raw and for typed storage."""
    import onnx

    if tensor.HasField("raw_data"):
        return [tensor.raw_data]
    if tensor.data_type == onnx.TensorProto.STRING:
        return [len(text).to_bytes(8, "little") + text for text in tensor.string_data]
    return [onnx.numpy_helper.to_array(tensor).tobytes()]
