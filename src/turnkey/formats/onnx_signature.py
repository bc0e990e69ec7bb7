"""What an ONNX file takes and gives: its signature, samples made for it, and samples fitted to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from math import prod

import ml_dtypes
import numpy as np
import onnx
from onnx import TensorProto

from turnkey.errors import InputError
from turnkey.formats.onnx_graph import graphs_of
from turnkey.host import available_memory_bytes
from turnkey.model.samples import Sample
from turnkey.model.signature import Dimension, Signature, TensorSpec

DEFAULT_DIMENSION = 1
"""Extent of a symbolic dimension that nobody gave one."""

_MOST_AXES = 64
"""Of a numpy array."""
_SMALL_EXTENT = 8
_GENERATED_BYTES = 8
"""What an element takes while it is drawn, whatever its dtype afterwards."""
_MASK_WORDS = ("mask",)
_INDEXING = {"Gather", "GatherElements"}
_KEEPS_VALUES = {"Cast", "Reshape", "Unsqueeze", "Squeeze", "Identity", "Flatten", "Transpose", "Expand"}


def read_signature(model: onnx.ModelProto) -> Signature:
    """Inputs that a caller must give (initialisers excluded) and outputs, with symbolic dimensions.

    A dimension of unknown extent without a name is called ``<tensor>_<axis>``.

    Raises:
        InputError: an input or output that is no tensor (sequence, map, optional), or has more axes than an array.
    """
    given = {tensor.name for tensor in model.graph.initializer}
    given |= {sparse.values.name for sparse in model.graph.sparse_initializer}
    return Signature(
        inputs=tuple(_spec(value) for value in model.graph.input if value.name not in given),
        outputs=tuple(_spec(value) for value in model.graph.output),
    )


def dtype_of(name: str) -> np.dtype[np.generic]:
    """The numpy dtype of a signature's dtype name, with those that ml_dtypes adds; texts are objects."""
    if name == "string":
        return np.dtype(object)
    return np.dtype(getattr(ml_dtypes, name, name))


def fixed_shape(shape: Iterable[Dimension], dimensions: Mapping[str, int]) -> tuple[int, ...]:
    """A shape with numbers for its symbolic dimensions: the given ones, else `DEFAULT_DIMENSION`."""
    return tuple(extent if isinstance(extent, int) else dimensions.get(extent, DEFAULT_DIMENSION) for extent in shape)


def symbols_of(signature: Signature) -> tuple[str, ...]:
    """Names of the symbolic dimensions of the inputs, in order."""
    return tuple(dict.fromkeys(dim for spec in signature.inputs for dim in spec.shape if isinstance(dim, str)))


def make_samples(
    model: onnx.ModelProto, *, seed: int, count: int, dimensions: Mapping[str, int] | None = None
) -> tuple[Sample, ...]:
    """Inputs that the model can compute with, from a generator of our own.

    Floats are standard normal; booleans are fair coins; integers that index a constant table (Gather, directly or
    through casts and reshapes) stay inside it; other integers are 0 or 1 where the name says mask, else small.

    Args:
        model: with or without its external data.
        seed: of the generator.
        count: how many samples.
        dimensions: extents of symbolic dimensions by name.

    Raises:
        InputError: they would not fit into memory.
    """
    signature = read_signature(model)
    shapes = {spec.name: fixed_shape(spec.shape, dimensions or {}) for spec in signature.inputs}
    _refuse_beyond_memory(shapes, count=count)
    limits = _index_limits(model)
    generator = np.random.default_rng(seed)
    return tuple(
        {spec.name: _values(spec, shapes[spec.name], limits.get(spec.name), generator) for spec in signature.inputs}
        for _ in range(count)
    )


def fit_sample(sample: Sample, signature: Signature) -> Sample:
    """A sample as a file wants it: in the order of its inputs, in their dtypes (after ``convert-fp16``).

    Inputs that the file does not have are left out: an exporter or optimiser dropped them as unused.

    Raises:
        InputError: the file wants an input that the sample does not have.
    """
    fitted: Sample = {}
    for spec in signature.inputs:
        if spec.name not in sample:
            raise InputError(
                f"the sample has no input {spec.name!r}",
                evidence=f"it has {', '.join(map(repr, sample)) or 'no inputs'}",
                remedy="discover or load the model again",
            )
        array = sample[spec.name]
        wanted = dtype_of(spec.dtype)
        fitted[spec.name] = array if array.dtype == wanted else array.astype(wanted)
    return fitted


def _spec(value: onnx.ValueInfoProto) -> TensorSpec:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise InputError(
            f"{value.name!r} is not a tensor",
            evidence=f"its type is {kind or 'not given'}",
            remedy="Turnkey works with models whose inputs and outputs are tensors",
        )
    tensor = value.type.tensor_type
    if len(tensor.shape.dim) > _MOST_AXES:
        raise InputError(
            f"{value.name!r} has more axes than an array can have",
            evidence=f"{len(tensor.shape.dim)} axes; numpy takes {_MOST_AXES}",
            remedy="reshape it in the model to fewer axes, and export it again",
        )
    shape: list[Dimension] = []
    for axis, dim in enumerate(tensor.shape.dim):
        if dim.HasField("dim_value") and dim.dim_value >= 0:
            shape.append(int(dim.dim_value))
        else:
            shape.append(dim.dim_param or f"{value.name}_{axis}")
    return TensorSpec(name=value.name, dtype=_dtype_name(tensor.elem_type, value.name), shape=tuple(shape))


def _dtype_name(elem_type: int, name: str) -> str:
    if elem_type == TensorProto.STRING:
        return "string"
    try:
        return str(onnx.helper.tensor_dtype_to_np_dtype(elem_type).name)
    except KeyError as error:
        raise InputError(
            f"{name!r} has no known element type",
            evidence=f"element type {elem_type}, onnx {onnx.__version__}",
            remedy="export the model again, or install a newer onnx",
        ) from error


def _refuse_beyond_memory(shapes: Mapping[str, tuple[int, ...]], *, count: int) -> None:
    needed = {name: count * prod(shape) * _GENERATED_BYTES for name, shape in shapes.items()}
    free = available_memory_bytes()
    if sum(needed.values()) > free:
        name = max(needed, key=lambda each: needed[each])
        raise InputError(
            "the inputs of this model do not fit into memory",
            evidence=f"{count} samples of {name!r} {list(shapes[name])} take {needed[name] / 2**30:,.1f} GiB, "
            f"of which {free / 2**30:,.1f} are there",
            remedy="give free dimensions smaller extents: load-onnx --dim NAME=N",
        )


def _values(spec: TensorSpec, shape: tuple[int, ...], limit: int | None, generator: np.random.Generator) -> np.ndarray:
    dtype = dtype_of(spec.dtype)
    if spec.dtype == "string":
        texts = generator.integers(0, 100, size=shape)
        return np.asarray(np.vectorize(str, otypes=[object])(texts) if texts.size else texts.astype(object))
    if dtype == np.bool_:
        return generator.integers(0, 2, size=shape).astype(np.bool_)
    if dtype.kind in "iu":
        is_mask = any(word in spec.name.lower() for word in _MASK_WORDS)
        high = limit if limit is not None else 2 if is_mask else _SMALL_EXTENT
        values = generator.integers(0, max(1, high), size=shape)
        if is_mask and values.ndim and values.shape[-1]:
            values[..., 0] = 1  # a mask without a single one makes softmax NaN
        return values.astype(dtype)
    if dtype.kind == "c":
        parts = generator.standard_normal(shape) + 1j * generator.standard_normal(shape)
        return np.asarray(parts).astype(dtype)
    return np.asarray(generator.standard_normal(shape)).astype(dtype)


def _index_limits(model: onnx.ModelProto) -> dict[str, int]:
    """For inputs that reach the indices of a Gather: the smallest extent that they index."""
    lookups = _lookups(model)
    extents = _extents(model)
    if any(table not in extents for table, _, _ in lookups):  # a table that is computed, such as a dequantised one
        with suppress(onnx.shape_inference.InferenceError, ValueError):  # ValueError: beyond protobuf's 2 GiB
            extents = _extents(onnx.shape_inference.infer_shapes(model))
    limits: dict[str, int] = {}
    for table, axis, name in lookups:
        shape = extents.get(table, ())
        if -len(shape) <= axis < len(shape) and isinstance(shape[axis], int):
            limits[name] = min(limits.get(name, int(shape[axis])), int(shape[axis]))
    return limits


def _lookups(model: onnx.ModelProto) -> list[tuple[str, int, str]]:
    """Table, axis and input of each Gather whose indices are an input, also behind casts and reshapes."""
    aliases = {value.name: value.name for value in model.graph.input}
    found = []
    for graph in graphs_of(model.graph):
        for node in graph.node:
            if node.op_type in _KEEPS_VALUES and node.input and node.input[0] in aliases:
                aliases[node.output[0]] = aliases[node.input[0]]
            if node.op_type in _INDEXING and len(node.input) > 1 and node.input[1] in aliases:
                axis = next((int(attribute.i) for attribute in node.attribute if attribute.name == "axis"), 0)
                found.append((node.input[0], axis, aliases[node.input[1]]))
    return found


def _extents(model: onnx.ModelProto) -> dict[str, tuple[Dimension, ...]]:
    extents: dict[str, tuple[Dimension, ...]] = {}
    for graph in graphs_of(model.graph):
        for tensor in graph.initializer:
            extents[tensor.name] = tuple(tensor.dims)
        for value in (*graph.input, *graph.value_info):
            dims = value.type.tensor_type.shape.dim
            extents[value.name] = tuple(d.dim_value if d.HasField("dim_value") else d.dim_param for d in dims)
        for node in graph.node:
            if node.op_type == "Constant":
                for attribute in node.attribute:
                    if attribute.HasField("t"):
                        extents[node.output[0]] = tuple(attribute.t.dims)
    return extents
