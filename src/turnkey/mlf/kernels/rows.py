"""Operators over the last axes: softmax, layer normalisation, sums, means and maxima."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel

if TYPE_CHECKING:
    import onnx

_REDUCTIONS = {
    "ReduceSum": "turnkey_row_sum({from_}, {count})",
    "ReduceMean": "turnkey_row_sum({from_}, {count}) * {share}",
    "ReduceMax": "turnkey_row_largest({from_}, {count}) + turnkey_row_nan({from_}, {count})",
}


def softmax(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Softmax of float over the last axis; before opset 13, over all from an axis on."""
    if node.op_type != "Softmax":
        return None
    source = graph.tensors[node.input[0]]
    if source.dtype != "float32" or not source.shape:
        return None
    rank = len(source.shape)
    axis = attribute(node, "axis", -1 if graph.opset >= 13 else 1) % rank
    if graph.opset >= 13 and axis != rank - 1:
        return None
    count = math.prod(source.shape[axis:])
    return _claim(
        node,
        graph,
        statement=_over_rows(
            math.prod(source.shape[:axis]), f"turnkey_row_softmax(in0 + {{at}}, out0 + {{at}}, {count})", count
        ),
        kind="softmax",
        inputs=(source.name,),
        overwrites=0,
    )


def layer_normalization(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """LayerNormalization of float over trailing axes, whose mean and spread nobody asks for."""
    if node.op_type != "LayerNormalization" or any(node.output[1:]):
        return None
    source = graph.tensors[node.input[0]]
    if not source.shape:
        return None
    axis = attribute(node, "axis", -1) % len(source.shape)
    count = math.prod(source.shape[axis:])
    inputs = [name for name in node.input if name]
    rows = source.shape[axis:]
    if any(graph.tensors[name].dtype != "float32" for name in inputs) or any(
        graph.tensors[name].shape[-len(rows) :] != rows or math.prod(graph.tensors[name].shape) != count
        for name in inputs[1:]
    ):
        return None
    scale, offset = (f"in{index}" if index < len(inputs) else "NULL" for index in (1, 2))
    epsilon = c_float(attribute(node, "epsilon", 1e-5))
    row = f"turnkey_row_norm(in0 + {{at}}, out0 + {{at}}, {count}, {epsilon}, {scale}, {offset})"
    return _claim(
        node,
        graph,
        statement=_over_rows(math.prod(source.shape[:axis]), row, count),
        kind="norm",
        inputs=tuple(inputs),
        overwrites=0 if source.name not in inputs[1:] else None,
    )


def reduction(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Sums, means and maxima of float over the last axes."""
    if node.op_type not in _REDUCTIONS:
        return None
    source = graph.tensors[node.input[0]]
    if source.dtype != "float32" or not source.shape:
        return None
    axes = reduced_axes(node, graph, len(source.shape))
    if not axes or axes != list(range(axes[0], len(source.shape))):
        return None
    count = math.prod(source.shape[axes[0] :])
    value = _REDUCTIONS[node.op_type].format(from_=f"in0 + i * {count}", count=count, share=c_float(1 / count))
    return _claim(
        node,
        graph,
        statement=f"for (idx_t i = 0; i < {math.prod(source.shape[: axes[0]])}; ++i) out0[i] = {value};",
        kind="reduction",
        inputs=(source.name,),
        overwrites=None,
    )


def reduced_axes(node: onnx.NodeProto, graph: NodeGraph, rank: int) -> list[int] | None:
    """Axes of a reduction in their order, none negative; None where they are computed."""
    axes: Sequence[int] | None = attribute(node, "axes")
    if axes is None and len(node.input) > 1 and node.input[1]:
        if node.input[1] not in graph.constants:
            return None
        axes = graph.constants[node.input[1]].reshape(-1).tolist()
    if not axes:
        return [] if attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in axes)


def _over_rows(rows: int, call: str, count: int) -> str:
    if rows == 1:
        return f"{call.format(at='0')};"
    return f"for (idx_t i = 0; i < {rows}; ++i) {call.format(at=f'i * {count}')};"


def _claim(
    node: onnx.NodeProto,
    graph: NodeGraph,
    *,
    statement: str,
    kind: str,
    inputs: tuple[str, ...],
    overwrites: int | None,
) -> Claim:
    kernel = Kernel(
        operators=(node.op_type.lower(),),
        inputs=("float",) * len(inputs),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes), c_text("rows")),
        statement=statement,
        kind=kind,
        overwrites=overwrites,
        macs=0,
    )
    made = Made(
        kernel=kernel, inputs=tuple(Stored(name=name) for name in inputs), outputs=(Stored(name=node.output[0]),)
    )
    reads = tuple(name for name in dict.fromkeys(inputs) if name not in graph.constants)
    return Claim(nodes=(node,), reads=reads, make=lambda layouts: made)
