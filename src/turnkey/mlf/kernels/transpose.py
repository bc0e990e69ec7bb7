"""Transpose of float where no product takes it over: whole rows are copied, matrices are turned in blocks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Stored
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.node import permutation
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import dense_strides

if TYPE_CHECKING:
    import onnx


class _Axis(NamedTuple):
    """One axis of the result, and how far each side moves along it."""

    extent: int
    source: int
    target: int


def transpose(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """A Transpose that is not an operand of one product."""
    if node.op_type != "Transpose":
        return None
    source = graph.tensors[node.input[0]]
    if source.dtype != "float32" or source.name in graph.constants:
        return None
    user = graph.sole_user(node.output[0])
    if user is not None and user.op_type in ("MatMul", "Gemm"):
        return None
    order = permutation(node, len(source.shape))
    shape = [source.shape[axis] for axis in order]
    strides = dense_strides(source.shape)
    axes = _merged(
        [_Axis(*axis) for axis in zip(shape, (strides[a] for a in order), dense_strides(shape), strict=True)]
    )
    kernel = Kernel(
        operators=("transpose",),
        inputs=("float",),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes), c_text("transpose")),
        statement=_statement(axes),
        includes=("string.h",),
        kind="transpose",
        macs=0,
    )
    made = Made(kernel=kernel, inputs=(Stored(name=source.name),), outputs=(Stored(name=node.output[0]),))
    return Claim(nodes=(node,), reads=(source.name,), make=lambda layouts: made)


def _merged(axes: Sequence[_Axis]) -> list[_Axis]:
    """As few axes as possible: what stays side by side is one."""
    found: list[_Axis] = []
    for axis in axes:
        if axis.extent == 1:
            continue
        if found and found[-1].source == axis.source * axis.extent:
            found[-1] = _Axis(found[-1].extent * axis.extent, axis.source, axis.target)
        else:
            found.append(axis)
    return found or [_Axis(1, 1, 1)]


def _statement(axes: Sequence[_Axis]) -> str:
    *outer, inner = axes
    line = next((axis for axis in outer if axis.source == 1), None)
    if line is not None:
        outer.remove(line)
    lines = [f"for (idx_t b{i} = 0; b{i} < {axis.extent}; ++b{i})" for i, axis in enumerate(outer)]
    source = "in0" + "".join(f" + b{i} * {axis.source}" for i, axis in enumerate(outer))
    target = "out0" + "".join(f" + b{i} * {axis.target}" for i, axis in enumerate(outer))
    if line is None:
        lines.append(f"memcpy({target}, {source}, {4 * inner.extent});")
    else:
        sizes = f"{inner.extent}, {line.extent}"
        lines.append(f"turnkey_transpose({sizes}, {source}, {inner.source}, {target}, {line.target});")
    return "\n".join(lines)
