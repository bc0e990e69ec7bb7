"""What is known before the program runs: shapes by inference, and values that depend on constants and shapes only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import is_standard, used_names_of
from turnkey.mlf.tensor import Tensor
from turnkey.mlf.weights import SMALL_BYTES, used_names, with_constants

if TYPE_CHECKING:
    import numpy as np
    import onnx

_RANDOM = ("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike", "Multinomial", "Bernoulli")
_NOT_FOLDED = frozenset([*_RANDOM, "If", "Loop", "Scan"])
_FOLD_LIMIT_BYTES = 1 << 20
_IR_VERSION = 8
NO_TENSOR = "it is"
"""What the reason begins with for a value that has no shape because it is something else."""


def infer(model: onnx.ModelProto, constants: Mapping[str, np.ndarray]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """What shape inference knows of each tensor, and which tensors it cannot tell."""
    import onnx
    from onnx import shape_inference

    skeleton = with_constants(model, constants, limit=SMALL_BYTES)
    try:
        inferred = shape_inference.infer_shapes(skeleton, strict_mode=False, data_prop=True)
    except Exception:  # noqa: BLE001  (models that inference rejects still have the shapes that they state)
        inferred = skeleton
    tensors = {
        name: Tensor(name=name, dtype=array.dtype.name, shape=tuple(array.shape))
        for name, array in constants.items()
        if array.dtype.kind not in "OSU"
    }
    unknown: dict[str, str] = {}
    stated: dict[str, onnx.ValueInfoProto] = {}
    for value in (*inferred.graph.value_info, *inferred.graph.output, *inferred.graph.input):
        stated[value.name] = value
    for name, value in stated.items():
        if name in tensors:
            continue
        tensor = value.type.tensor_type
        extents = [
            dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else -1 for dim in tensor.shape.dim
        ]
        if value.type.WhichOneof("value") != "tensor_type":
            unknown[name] = f"{NO_TENSOR} a {(value.type.WhichOneof('value') or 'value').removesuffix('_type')}"
        elif not tensor.HasField("shape") or -1 in extents:
            unknown[name] = f"axis {extents.index(-1)}" if -1 in extents else "its shape"
        elif tensor.elem_type == onnx.TensorProto.STRING:
            unknown[name] = f"{NO_TENSOR} of strings"
        else:
            kind = dtypes.of_onnx(tensor.elem_type, tensor=name)
            tensors[name] = Tensor(name=name, dtype=kind.name, shape=tuple(extents))
    for node in model.graph.node:
        for name in node.output:
            if name and name not in tensors and name not in unknown:
                unknown[name] = "its shape"
    _from_results(model, stated, tensors, unknown)
    return tensors, unknown


_SAME_SHAPE = frozenset(
    (
        *("Abs", "Cast", "CastLike", "Ceil", "Exp", "Floor", "Identity", "Log", "Neg", "Reciprocal", "Relu", "Round"),
        *("Sigmoid", "Sign", "Softmax", "LogSoftmax", "Sqrt", "Tanh"),
    )
)
"""Operators whose first input has the shape of their output."""


def _from_results(
    model: onnx.ModelProto,
    stated: Mapping[str, onnx.ValueInfoProto],
    tensors: dict[str, Tensor],
    unknown: dict[str, str],
) -> None:
    """Shapes against the direction of the graph: an output's stated shape says that of what it was computed from."""
    for node in reversed(model.graph.node):
        if node.op_type not in _SAME_SHAPE or not is_standard(node):
            continue
        source, target = node.input[0], node.output[0]
        known = tensors.get(target)
        if source in unknown and known is not None and source in stated:
            number = stated[source].type.tensor_type.elem_type
            if number:
                kind = dtypes.of_onnx(number, tensor=source)
                tensors[source] = Tensor(name=source, dtype=kind.name, shape=known.shape)
                del unknown[source]


def fold(
    model: onnx.ModelProto, constants: dict[str, np.ndarray]
) -> tuple[onnx.ModelProto, dict[str, np.ndarray], dict[str, Tensor], dict[str, str]]:
    """Compute what depends on constants and shapes only, until nothing changes; then drop what nothing reads."""
    import onnx

    current = onnx.ModelProto()
    current.CopyFrom(model)
    outputs = {value.name for value in model.graph.output}
    while True:
        tensors, unknown = infer(current, constants)
        folded = 0
        kept = []
        for node in current.graph.node:
            values = None if set(node.output) & outputs else _folded(node, constants, tensors, current)
            if values is None:
                kept.append(node)
            else:
                constants = {**constants, **values}
                folded += 1
        kept = _alive(kept, outputs)
        changed = folded or len(kept) != len(current.graph.node)
        del current.graph.node[:]
        current.graph.node.extend(kept)
        if not changed:
            names = {name for node in kept for name in node.output}
            used = used_names(current)
            return (
                current,
                {name: array for name, array in constants.items() if name in used},
                tensors,
                {name: reason for name, reason in unknown.items() if name in names or name in outputs},
            )


def _alive(nodes: list[onnx.NodeProto], outputs: set[str]) -> list[onnx.NodeProto]:
    """Nodes that something reads, in their order."""
    wanted = set(outputs)
    alive = []
    for node in reversed(nodes):
        if wanted & set(node.output):
            alive.append(node)
            wanted |= used_names_of(node)
    return alive[::-1]


def _folded(
    node: onnx.NodeProto,
    constants: Mapping[str, np.ndarray],
    tensors: Mapping[str, Tensor],
    model: onnx.ModelProto,
) -> dict[str, np.ndarray] | None:
    """The node's outputs if they are known now; None otherwise."""
    import numpy as np

    if not is_standard(node) or node.op_type in _NOT_FOLDED:
        return None
    if node.op_type in ("Shape", "Size") and node.input[0] in tensors:
        shape = tensors[node.input[0]].shape
        limits = {attribute.name: attribute.i for attribute in node.attribute}
        if node.op_type == "Size":
            return {node.output[0]: np.array(int(np.prod(shape)), dtype=np.int64)}
        return {node.output[0]: np.array(shape[limits.get("start", 0) : limits.get("end", len(shape))], np.int64)}
    if not node.input or not all(name == "" or name in constants for name in node.input):
        return None
    if not all(name in tensors and tensors[name].bytes <= _FOLD_LIMIT_BYTES for name in node.output if name):
        return None
    if node.op_type == "DequantizeLinear":
        # The reference knows it from version 19 on, which computes what older ones do.
        return None if _is_quantized_weight(node, model) else evaluated(node, constants, opsets=[_dequantizing()])
    return evaluated(node, constants, opsets=model.opset_import)


_WEIGHTED = frozenset({"Conv", "Gemm", "MatMul"})


def _dequantizing() -> onnx.OperatorSetIdProto:
    import onnx

    return onnx.helper.make_opsetid("", 21)


def _is_quantized_weight(node: onnx.NodeProto, model: onnx.ModelProto) -> bool:
    """Whether this dequantises a weight, or bias, of a product whose other operand is dequantised too.

    Such a product is computed on bytes: its weights must stay what they are.
    """
    if node.op_type != "DequantizeLinear":
        return False
    users = [user for user in model.graph.node if node.output[0] in user.input]
    restored = {other.output[0] for other in model.graph.node if other.op_type == "DequantizeLinear"}
    return bool(users) and all(user.op_type in _WEIGHTED and user.input[0] in restored for user in users)


def evaluated(
    node: onnx.NodeProto, constants: Mapping[str, np.ndarray], *, opsets: Sequence[onnx.OperatorSetIdProto]
) -> dict[str, np.ndarray] | None:
    """What a node makes of constants, by the ONNX reference; None where that cannot compute it."""
    import numpy as np
    import onnx
    from onnx.reference import ReferenceEvaluator

    feeds = {name: constants[name] for name in node.input if name}
    graph = onnx.helper.make_graph(
        [node],
        "constant",
        [
            onnx.helper.make_tensor_value_info(name, onnx.helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in feeds.items()
        ],
        [onnx.helper.make_empty_tensor_value_info(name) for name in node.output if name],
    )
    single = onnx.helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION)
    try:
        with np.errstate(all="ignore"):
            values = ReferenceEvaluator(single).run(None, feeds)
    except Exception:  # noqa: BLE001  (what the reference cannot compute is computed by the C code)
        return None
    arrays = [np.asarray(value) for value in values]
    if any(array.dtype.kind in "OSU" for array in arrays):
        return None
    return dict(zip((name for name in node.output if name), arrays, strict=True))
