"""Convolutions and matrix products of bytes with constant weights, summed in 32 bits.

Claimed are operators between DequantizeLinear and QuantizeLinear (or with a result of floats), and ONNX's operators on
whole numbers: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger. All become one kernel: windows of the image are
widened to rows of 16 bits, from which the zero point is gone, so that padding is 0; rows times weights in panels of 16
columns are summed in 32 bits, and each sum becomes a byte, a float, or stays. A matrix is an image of one row.

Source of the rounding: a sum times ``x_scale * w_scale / y_scale``, a float32, rounded to even, as in ONNX Runtime.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from turnkey.mlf import dtypes
from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Operand, Stored
from turnkey.mlf.kernels.quantized_depthwise import depthwise_kernel
from turnkey.mlf.kernels.quantized_group import group_of
from turnkey.mlf.kernels.quantized_numbers import (
    Numbers,
    is_convolution,
    numbers_of_group,
    numbers_of_operator,
)
from turnkey.mlf.kernels.quantized_panels import Places, panel_text, panelled_arrays
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.window import Window, window_of
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel, Tile
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR

if TYPE_CHECKING:
    import onnx

ROWS = (6, 4, 2)
"""Rows of a tile to choose from; six, with two vectors of sums each, and their operands fill sixteen registers."""


def quantized_product(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Conv, Gemm and MatMul of dequantised operands, and the operators of ONNX that compute on whole numbers."""
    if node.op_type == "DequantizeLinear":
        group = group_of(node, graph, ("Conv", "Gemm", "MatMul"))
        made = None if group is None else numbers_of_group(group, graph)
        nodes = () if group is None else group.nodes
        operator = None if group is None else group.operator
    else:
        made, nodes, operator = numbers_of_operator(node, graph), (node,), node
    if made is None or operator is None:
        return None
    places = _places(operator, made, graph)
    if places is None:
        return None
    reads = (made.source, *((made.zero,) if isinstance(made.zero, str) else ()))
    return Claim(nodes=nodes, reads=reads, make=lambda layouts: _made(operator, made, places, graph))


def _places(node: onnx.NodeProto, numbers: Numbers, graph: NodeGraph) -> Places | None:
    source, target = graph.tensors[numbers.source].shape, graph.tensors[numbers.output].shape
    columns = numbers.weights.shape[0]
    if not is_convolution(node):
        if len(source) < 2:
            return None
        whole = (1, math.prod(source[:-1]))
        one = (1, 1)
        window = Window(image=whole, result=whole, extent=one, stride=one, dilation=one, before=(0, 0), after=(0, 0))
        return Places(images=1, channels=source[-1], columns=columns, groups=1, window=window, layout=ROW_MAJOR)
    weight = graph.constants[node.input[3]] if node.op_type == "QLinearConv" else None
    extent = weight.shape[2:] if weight is not None else _kernel_extent(node, graph)
    found = window_of(node, image=source[2:], result=target[2:], extent=extent, padded=())
    if found is None:
        return None
    return Places(
        images=source[0],
        channels=source[1],
        columns=columns,
        groups=attribute(node, "group", 1),
        window=found,
        layout=CHANNEL_LAST,
    )


def _kernel_extent(node: onnx.NodeProto, graph: NodeGraph) -> tuple[int, ...]:
    return graph.tensors[node.input[1]].shape[2:]


def _made(node: onnx.NodeProto, numbers: Numbers, places: Places, graph: NodeGraph) -> Made:
    operands: list[Operand] = [Stored(name=numbers.source, layout=places.layout)]
    zero = str(numbers.zero)
    types = [numbers.source_type]
    if isinstance(numbers.zero, str):
        zero = f"in{len(operands)}[0]"
        operands.append(Stored(name=numbers.zero))
        types.append(numbers.source_type)
    base = node.input[3 if node.op_type.startswith("QLinear") else 1]
    groups, columns = places.groups, places.columns
    is_depthwise = groups == places.channels == columns and groups > 1 and not numbers.is_wide
    arrays = _depthwise_arrays(numbers) if is_depthwise else panelled_arrays(numbers, groups)
    expressions = {}
    for role, array in arrays.items():
        if array is None:
            expressions[role] = "NULL"
            continue
        expressions[role] = f"in{len(operands)}"
        operands.append(Derived(name=f"{base}.{role}", array=array))
        types.append(f"{dtypes.of_name(array.dtype.name).c_type}")
    tile: Tile = ()
    tiles: tuple[Tile, ...] = ()
    if is_depthwise:
        text = depthwise_kernel(
            places.window,
            images=places.images,
            channels=places.channels,
            byte=numbers.source_type,
            zero=zero,
            target=numbers.c_target(),
            size=dtypes.of_name(graph.tensors[numbers.output].dtype).bytes,
            weights=expressions["weights"],
            bias=expressions["bias"],
            scale=expressions["scale"],
        )
        code, statement, scratch = text.code, text.statement, 0
    else:
        tiles = tuple((("rows", rows),) for rows in ROWS if rows <= places.results)
        tiles = tiles or ((("rows", 1),),)
        tile = graph.tile(node, tiles)
        code, statement, scratch = panel_text(numbers, places, expressions, zero, dict(tile)["rows"], graph)
    kernel = Kernel(
        operators=("int8", node.op_type.lower()),
        inputs=tuple(types),
        outputs=(numbers.output_type,),
        helpers=(vectors(graph.vector_bytes), c_text("bytes")),
        code=code,
        statement=statement,
        includes=("string.h",),
        scratch_bytes=scratch,
        kind="quantized_depthwise" if is_depthwise else "quantized_product",
        tile=tile,
        tiles=tiles if len(tiles) > 1 else (),
        macs=places.images * places.results * columns * numbers.weights.shape[1],
    )
    return Made(kernel=kernel, inputs=tuple(operands), outputs=(Stored(name=numbers.output, layout=places.layout),))


def _depthwise_arrays(numbers: Numbers) -> dict[str, np.ndarray | None]:
    """Weights as [place of the window][channel], in the lower half of 32 bits."""
    halves = numbers.weights.T & 0xFFFF
    return {
        "weights": np.ascontiguousarray(halves.astype(np.int32)),
        "bias": numbers.bias,
        "scale": None if numbers.scale is None else np.ascontiguousarray(numbers.scale),
    }
