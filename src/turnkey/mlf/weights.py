"""Weights of an ONNX graph: taken out of it by name, and put back as far as a stage needs them.

With large weights apart, shape inference, folding and text never copy them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.mlf.node import is_standard, used_names_of

if TYPE_CHECKING:
    import numpy as np
    import onnx

SMALL_BYTES = 1 << 10
"""Constants up to this size travel with the graph through shape inference and lowering; larger ones by shape only."""


OLDEST_IR_VERSION = 4


def with_fixed_weights(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model, whose weights are no inputs: what a caller may replace, nobody folds.

    IR 4 at least: with an older number, weights that are no inputs silently stop shape inference.
    """
    import onnx

    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.ir_version = max(OLDEST_IR_VERSION, model.ir_version)
    weights = {tensor.name for tensor in model.graph.initializer}
    del copy.graph.input[:]
    copy.graph.input.extend(value for value in model.graph.input if value.name not in weights)
    return copy


def weights_apart(model: onnx.ModelProto) -> tuple[onnx.ModelProto, dict[str, np.ndarray]]:
    """The model without weights and Constant nodes, and these by name."""
    import onnx
    from onnx import numpy_helper

    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    for sparse in model.graph.sparse_initializer:
        constants[sparse.values.name] = _dense(sparse)
    apart = onnx.ModelProto()
    apart.ir_version = max(OLDEST_IR_VERSION, model.ir_version)
    for field, value in model.ListFields():
        if field.name not in ("ir_version", "graph"):
            _copy_field(apart, field, value)
    for field, value in model.graph.ListFields():  # the weights are never copied
        if field.name not in ("node", "input", "initializer", "sparse_initializer"):
            _copy_field(apart.graph, field, value)
    for node in model.graph.node:
        held = _constant_value(node) if node.op_type == "Constant" and is_standard(node) else None
        if held is None:
            apart.graph.node.append(node)
        else:
            constants[node.output[0]] = held
    apart.graph.input.extend(value for value in model.graph.input if value.name not in constants)
    return apart, constants


def _copy_field(target: Any, field: Any, value: Any) -> None:
    """One set field of a message, whatever its kind."""
    if field.is_repeated:
        getattr(target, field.name).extend(value)
    elif field.message_type is not None:
        getattr(target, field.name).CopyFrom(value)
    else:
        setattr(target, field.name, value)


def _constant_value(node: onnx.NodeProto) -> np.ndarray | None:
    import numpy as np
    from onnx import numpy_helper

    for attribute in node.attribute:
        if attribute.name == "value":
            array: np.ndarray = numpy_helper.to_array(attribute.t)
            return array
        if attribute.name == "sparse_value":
            return _dense(attribute.sparse_tensor)
        if attribute.name in ("value_float", "value_floats"):
            plain = attribute.f if attribute.name == "value_float" else list(attribute.floats)
            return np.array(plain, dtype=np.float32)
        if attribute.name in ("value_int", "value_ints"):
            return np.array(attribute.i if attribute.name == "value_int" else list(attribute.ints), dtype=np.int64)
    return None


def _dense(sparse: onnx.SparseTensorProto) -> np.ndarray:
    import numpy as np
    from onnx import numpy_helper

    values, indices = numpy_helper.to_array(sparse.values), numpy_helper.to_array(sparse.indices)
    dense = np.zeros(tuple(sparse.dims), values.dtype)
    if indices.ndim == 1:
        dense.reshape(-1)[indices] = values
    else:
        dense[tuple(indices.T)] = values
    return dense


def with_constants(
    model: onnx.ModelProto, constants: Mapping[str, np.ndarray], *, limit: int | None = None
) -> onnx.ModelProto:
    """The model with its constants as weights; those above ``limit`` bytes as further inputs."""
    import onnx
    from onnx import numpy_helper

    whole = onnx.ModelProto()
    whole.CopyFrom(model)
    used = used_names(model)
    for name, array in constants.items():
        if name not in used:
            continue
        if limit is None or array.nbytes <= limit:
            whole.graph.initializer.append(numpy_helper.from_array(array, name))
        else:
            number = onnx.helper.np_dtype_to_tensor_dtype(array.dtype)
            whole.graph.input.append(onnx.helper.make_tensor_value_info(name, number, array.shape))
    return whole


def used_names(model: onnx.ModelProto) -> set[str]:
    """Names that nodes (bodies of control flow included) or outputs read."""
    names = {value.name for value in model.graph.output}
    for node in model.graph.node:
        names |= used_names_of(node)
    return names
