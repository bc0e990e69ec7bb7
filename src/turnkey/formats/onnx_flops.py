"""Floating-point operations of one run of an ONNX file, counted from shapes.

Rules: a multiplication with its addition counts as two.

- ``MatMul`` 2·m·n·k per matrix of the batch; ``Gemm`` 2·m·n·k, plus m·n with a bias; ``Einsum`` 2 × the product of
  all extents in its equation (1 × for one operand).
- ``Conv`` 2 · outputs · (input channels / groups) · kernel volume, plus outputs with a bias; ``ConvTranspose`` 2 ·
  inputs · (output channels / groups) · kernel volume, plus outputs with a bias.
- ``LSTM``, ``GRU``, ``RNN``: 2 · directions · gates · steps · batch · hidden · (input + hidden); the gates'
  elementwise work is left out.
- ``Attention`` (standard domain): 4 · batch · heads · queries · keys · head size.
- Pooling: outputs × kernel volume; reductions: inputs; normalisations 5 per element (batch normalisation 2);
  ``Softmax`` 5 per element; ``Gelu`` 8; other elementwise operators on floats 1 per output element.
- Data movement (``Reshape``, ``Gather``, ``Cast`` …), integer and Boolean work count 0. Of the branches of an ``If``
  the larger counts.

Source: the usual convention of fvcore, torch.utils.flop_counter (which counts products and convolutions alone).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path

import onnx
import onnx.inliner
from onnx import TensorProto
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from turnkey.formats.onnx_file import load_graph
from turnkey.formats.onnx_graph import tensors_of

Shape = tuple[int, ...]
_SHAPE_TENSOR_BYTES = 65536
_FLOATS = {TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE}
_PER_ELEMENT = {"Softmax": 5, "LogSoftmax": 5, "Gelu": 8, "BatchNormalization": 2} | dict.fromkeys(
    (
        "LayerNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "RMSNormalization",
        "MeanVarianceNormalization",
    ),
    5,
)
_DATA_MOVERS = (
    "Reshape Transpose Gather GatherElements GatherND Scatter ScatterElements ScatterND Slice Split Concat Squeeze "
    "Unsqueeze Flatten Identity Cast CastLike Expand Tile Pad Shape Size Constant ConstantOfShape EyeLike Range Where "
    "DepthToSpace SpaceToDepth Resize Upsample NonZero Compress Unique OneHot Dropout Trilu ReverseSequence TopK "
    "SequenceAt SequenceConstruct SplitToSequence ConcatFromSequence RandomNormal RandomNormalLike RandomUniform "
    "RandomUniformLike QuantizeLinear DequantizeLinear"
)
_MOVES_DATA = frozenset(_DATA_MOVERS.split())
_UNKNOWN_IF_NESTED = frozenset({"Loop", "Scan", "SequenceMap"})
_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


class _Unknown(Exception):
    """A shape that the count needs is not known."""


def count_flops(path: Path, *, shapes: Mapping[str, Shape]) -> int | None:
    """Operations of one run on inputs of these shapes; None where that cannot be told."""
    model = load_graph(path)
    for tensor in tensors_of(model):
        # Shape inference reads small integer constants (the target of a Reshape), never weights.
        if uses_external_data(tensor) and prod(tensor.dims) * 8 <= _SHAPE_TENSOR_BYTES:
            load_external_data_for_tensor(tensor, str(path.parent))
            tensor.data_location = TensorProto.DEFAULT
            del tensor.external_data[:]
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    _fix_shapes(model.graph, shapes)
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        return _count_graph(model.graph, _Scope(shapes={}, types={}))
    except (_Unknown, onnx.shape_inference.InferenceError):
        return None


def _fix_shapes(graph: onnx.GraphProto, shapes: Mapping[str, Shape]) -> None:
    """Put the sample's extents into the inputs, and forget what followed from symbolic ones."""
    for value in graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, shapes.get(value.name, ()), strict=False):
            dim.dim_value = extent
    for value in graph.output:
        for dim in value.type.tensor_type.shape.dim:
            if dim.HasField("dim_param"):
                dim.Clear()
    del graph.value_info[:]


@dataclass(frozen=True, slots=True)
class _Scope:
    shapes: dict[str, Shape]
    types: dict[str, int]

    def shape(self, name: str) -> Shape:
        if name not in self.shapes:
            raise _Unknown(name)
        return self.shapes[name]

    def entered(self, graph: onnx.GraphProto) -> _Scope:
        shapes, types = dict(self.shapes), dict(self.types)
        for tensor in graph.initializer:
            shapes[tensor.name], types[tensor.name] = tuple(tensor.dims), tensor.data_type
        for value in (*graph.input, *graph.output, *graph.value_info):
            tensor_type = value.type.tensor_type
            types[value.name] = tensor_type.elem_type
            if tensor_type.HasField("shape") and all(dim.HasField("dim_value") for dim in tensor_type.shape.dim):
                shapes[value.name] = tuple(dim.dim_value for dim in tensor_type.shape.dim)
        return _Scope(shapes, types)


def _count_graph(graph: onnx.GraphProto, outer: _Scope) -> int:
    scope = outer.entered(graph)
    return sum(_count_node(node, scope) for node in graph.node)


def _count_node(node: onnx.NodeProto, scope: _Scope) -> int:
    operator = node.op_type
    if node.domain not in ("", "ai.onnx") or operator in _UNKNOWN_IF_NESTED:
        raise _Unknown(operator)
    if operator == "If":
        return max(_count_graph(attribute.g, scope) for attribute in node.attribute if attribute.HasField("g"))
    if operator in _MOVES_DATA:
        return 0
    rule = _RULES.get(operator)
    if rule is not None:
        return rule(node, scope)
    name = next((name for name in node.output if name), "")
    if scope.types.get(name, TensorProto.FLOAT) not in _FLOATS:
        return 0
    if operator.startswith(("Reduce", "Global")) or operator in ("CumSum", "ArgMax", "ArgMin"):
        return prod(scope.shape(node.input[0]))
    return _PER_ELEMENT.get(operator, 1) * prod(scope.shape(name))


def _matmul(node: onnx.NodeProto, scope: _Scope) -> int:
    left = scope.shape(node.input[0])
    return 2 * prod(scope.shape(node.output[0])) * left[-1]


def _gemm(node: onnx.NodeProto, scope: _Scope) -> int:
    left, result = scope.shape(node.input[0]), prod(scope.shape(node.output[0]))
    inner = left[0] if _integer(node, "transA", 0) else left[1]
    return 2 * result * inner + (result if _has_input(node, 2) else 0)


def _convolution(node: onnx.NodeProto, scope: _Scope) -> int:
    weight, result = scope.shape(node.input[1]), prod(scope.shape(node.output[0]))
    return 2 * result * prod(weight[1:]) + (result if _has_input(node, 2) else 0)


def _transposed_convolution(node: onnx.NodeProto, scope: _Scope) -> int:
    weight, result = scope.shape(node.input[1]), prod(scope.shape(node.output[0]))
    return 2 * prod(scope.shape(node.input[0])) * prod(weight[1:]) + (result if _has_input(node, 2) else 0)


def _recurrent(node: onnx.NodeProto, scope: _Scope) -> int:
    data, weight, recurrence = (scope.shape(node.input[position]) for position in range(3))
    hidden = recurrence[-1]
    return 2 * weight[0] * _GATES[node.op_type] * data[0] * data[1] * hidden * (weight[-1] + hidden)


def _attention(node: onnx.NodeProto, scope: _Scope) -> int:
    query, key = scope.shape(node.input[0]), scope.shape(node.input[1])
    return 4 * prod(query) * key[-2]  # prod(query) = batch · heads · queries · head size, in 3 and in 4 dimensions


def _pooling(node: onnx.NodeProto, scope: _Scope) -> int:
    kernel = next((attribute.ints for attribute in node.attribute if attribute.name == "kernel_shape"), [1])
    return prod(scope.shape(node.output[0])) * prod(kernel)


def _einsum(node: onnx.NodeProto, scope: _Scope) -> int:
    equation = next(a.s.decode() for a in node.attribute if a.name == "equation").replace(" ", "")
    operands = equation.split("->")[0].split(",")
    if "." in equation:
        raise _Unknown(equation)
    extents: dict[str, int] = {}
    for letters, name in zip(operands, node.input, strict=True):
        extents.update(zip(letters, scope.shape(name), strict=True))
    return (2 if len(operands) > 1 else 1) * prod(extents.values())


_RULES: dict[str, Callable[[onnx.NodeProto, _Scope], int]] = {
    "MatMul": _matmul,
    "Gemm": _gemm,
    "Conv": _convolution,
    "ConvTranspose": _transposed_convolution,
    "LSTM": _recurrent,
    "GRU": _recurrent,
    "RNN": _recurrent,
    "Attention": _attention,
    "MaxPool": _pooling,
    "AveragePool": _pooling,
    "LpPool": _pooling,
    "Einsum": _einsum,
}


def _integer(node: onnx.NodeProto, name: str, default: int) -> int:
    return next((int(attribute.i) for attribute in node.attribute if attribute.name == name), default)


def _has_input(node: onnx.NodeProto, position: int) -> bool:
    return len(node.input) > position and bool(node.input[position])
