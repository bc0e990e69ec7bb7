"""Matrix products: MatMul and Gemm, with what follows them, and with the transpositions around them.

A transposition in front of a product, or behind it, is a matter of strides: the kernel reads A value by value whatever
lies between, takes B by rows where its columns lie side by side, and packs it first where they do not. A constant B is
packed into panels of 16 columns at export.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Operand, Packed, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.matrix import Matrix, read_matrix, written_matrix
from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.kernels.product_epilogue import ProductEpilogue, is_per_column, product_epilogue
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import dense_strides

if TYPE_CHECKING:
    import onnx

PANEL = 16
"""Columns of a panel, as in ``c/gemm.h``."""
_ROWS = (12, 4)
"""Most rows of a tile to choose from: as many as the registers hold, and fewer; a single row is a case of its own."""


class _Product(NamedTuple):
    """C = epilogue(A B)."""

    node: onnx.NodeProto
    left: Matrix
    right: Matrix
    result: Matrix
    after: ProductEpilogue


def matmul(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """MatMul and Gemm of float, with the transpositions around them and what follows."""
    if node.op_type not in ("MatMul", "Gemm") or graph.tensors[node.output[0]].dtype != "float32":
        return None
    product = _product(node, graph)
    if product is None:
        return None
    _, left, right, result, after = product
    reads = [left.name, right.name, *([after.residual.name] if after.residual else [])]
    transposed = left.nodes if left.nodes == right.nodes else (*left.nodes, *right.nodes)
    return Claim(
        nodes=(*transposed, node, *after.nodes, *result.nodes),
        reads=tuple(name for name in dict.fromkeys(reads) if name not in graph.constants),
        make=partial(_made, product, graph),
    )


def _product(node: onnx.NodeProto, graph: NodeGraph) -> _Product | None:
    left = read_matrix(node.input[0], graph, is_left=True)
    right = read_matrix(node.input[1], graph, is_left=False)
    bias: Operand | None = None
    residual: Operand | None = None
    scale = 1.0
    shape = graph.tensors[node.output[0]].shape
    if node.op_type == "MatMul" and len(graph.tensors[node.input[0]].shape) == 1:
        shape = (*shape[:-1], 1, *shape[-1:]) if len(graph.tensors[node.input[1]].shape) > 1 else (1, 1)
    elif node.op_type == "MatMul" and len(graph.tensors[node.input[1]].shape) == 1:
        shape = (*shape, 1)
    if node.op_type == "Gemm":
        left = left.transposed() if attribute(node, "transA", 0) else left
        right = right.transposed() if attribute(node, "transB", 0) else right
        scale = attribute(node, "alpha", 1.0)
        if len(node.input) > 2 and node.input[2]:
            added = _added(node, graph)
            if added is None:
                return None
            bias, residual = added
    after = product_epilogue(node.output[0], graph, columns=shape[-1], bias=bias, residual=residual, scale=scale)
    result = written_matrix(after.output, shape, graph, may_transpose=after.residual is None)
    return _Product(node, left, right, result, after)


def _added(node: onnx.NodeProto, graph: NodeGraph) -> tuple[Operand | None, Operand | None] | None:
    """Bias and residual of a Gemm; None for what is neither."""
    import numpy as np

    name, beta = node.input[2], attribute(node, "beta", 1.0)
    shape = graph.tensors[node.output[0]].shape
    if name not in graph.constants:
        is_whole = beta == 1.0 and graph.tensors[name].shape == shape
        return (None, Stored(name=name)) if is_whole else None
    if beta == 1.0 and is_per_column(name, shape[-1], graph):
        return Stored(name=name), None
    values = graph.constants[name] * np.float32(beta)
    has_rows = values.ndim == 2 and values.shape[0] > 1
    added = np.broadcast_to(values, shape) if has_rows else np.broadcast_to(values.reshape(-1), shape[-1:])
    derived = Derived(name=f"{name}.added", array=np.ascontiguousarray(added))
    return (None, derived) if has_rows else (derived, None)


class _Loop(NamedTuple):
    """One axis of the stack, and how far the operands move along it."""

    extent: int
    left: int
    right: int
    result: int


def _made(product: _Product, graph: NodeGraph, _layouts: Mapping[str, str]) -> Made:
    _, left, right, result, after = product
    depth, columns = right.shape[-2:]
    panels = -(-columns // PANEL)
    is_packed = right.name in graph.constants and not right.nodes and len(graph.tensors[right.name].shape) > 1
    stack = result.shape[:-2]
    right_strides = right.stacked_as(stack)
    if is_packed:
        matrix = math.prod(right.shape[-2:])
        right_strides = tuple(stride // matrix * panels * PANEL * depth for stride in right_strides)
    loops = [
        _Loop(*axis)
        for axis in zip(stack, left.stacked_as(stack), right_strides, result.strides[:-2], strict=True)
        if axis[0] > 1
    ]
    rows, left_row, result_row = left.shape[-2], left.strides[-2], result.strides[-2]
    if rows == 1 and loops and not loops[-1].right:  # a stack of rows is a matrix
        rows, left_row, _, result_row = loops.pop()
    while loops and (loops[-1].left, loops[-1].right, loops[-1].result) == (left_row * rows, 0, result_row * rows):
        rows *= loops.pop().extent

    tiles = tuple((("rows", most),) for most in _ROWS if most < rows) or ((("rows", 1),),)
    tile = graph.tile(product.node, tiles)
    inputs: list[Operand] = [Stored(name=left.name)]
    inputs.append(Packed(name=right.name, axes=_panels(right, graph)) if is_packed else Stored(name=right.name))
    places = {}
    for role, operand in (("bias", after.bias), ("residual", after.residual)):
        if operand is not None:
            places[role] = f"in{len(inputs)}"
            inputs.append(operand)
    offsets = {
        side: "".join(f" + b{i} * {getattr(loop, side)}" for i, loop in enumerate(loops) if getattr(loop, side))
        for side in ("left", "right", "result")
    }
    by_rows = right.strides[-1] == 1 and columns % max(1, graph.vector_bytes // 4) == 0
    lines = [f"for (idx_t b{i} = 0; b{i} < {loop.extent}; ++b{i}) {{" for i, loop in enumerate(loops)]
    residual = f"{places['residual']}{offsets['result']}" if after.residual else "NULL"
    lines.append(
        f"const turnkey_after after = {{{c_float(after.scale)}, {places.get('bias', 'NULL')}, {residual}, "
        f"{result_row}, {after.activation.c_arguments()}}};"
    )
    source, panel, step = f"in1{offsets['right']}", depth * PANEL, PANEL
    scratch_bytes = 0
    if not is_packed and by_rows:
        panel, step = PANEL, right.strides[-2]
    elif not is_packed:
        scratch_bytes = 4 * panels * PANEL * depth
        lines.append("float *panels = (float *)(void *)scratch;")
        lines.append(f"turnkey_pack({depth}, {columns}, {source}, {right.strides[-2]}, {right.strides[-1]}, panels);")
        source = "panels"
    sizes = f"{tile[0][1]}, {rows}, {columns}, {depth}"
    lines.append(
        f"turnkey_gemm({sizes}, in0{offsets['left']}, {left_row}, {left.strides[-1]}, {source}, {panel}, {step}, "
        f"out0{offsets['result']}, {result_row}, after);"
    )
    lines += ["}"] * len(loops)
    kernel = Kernel(
        operators=("matmul", *(node.op_type.lower() for node in (*after.nodes, *result.nodes))),
        inputs=("float",) * len(inputs),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes), c_text("gemm")),
        statement="\n".join(lines),
        scratch_bytes=scratch_bytes,
        kind="gemm",
        overwrites=_overwritten(inputs, after),
        macs=math.prod(result.shape) * depth,
        tile=tile,
        tiles=tiles if len(tiles) > 1 else (),
    )
    return Made(kernel=kernel, inputs=tuple(inputs), outputs=(Stored(name=result.name),))


def _overwritten(inputs: list[Operand], after: ProductEpilogue) -> int | None:
    """Each value of the result may take over that of the residual which was added to it, unless A or B is the same."""
    residual = after.residual
    if not isinstance(residual, Stored) or residual in inputs[:2]:
        return None
    return len(inputs) - 1


def _panels(right: Matrix, graph: NodeGraph) -> tuple[Axis, ...]:
    """The packed form of a constant B: [stack][columns / 16][depth][16]."""
    shape = graph.tensors[right.name].shape
    rank = len(shape)
    is_transposed = (right.shape, right.strides) != (shape, dense_strides(shape))
    of_depth, of_columns = (rank - 1, rank - 2) if is_transposed else (rank - 2, rank - 1)
    return (
        *(Axis(shape[axis], axis, 1) for axis in range(rank - 2)),
        Axis(-(-shape[of_columns] // PANEL), of_columns, PANEL),
        Axis(shape[of_depth], of_depth, 1),
        Axis(PANEL, of_columns, 1),
    )
