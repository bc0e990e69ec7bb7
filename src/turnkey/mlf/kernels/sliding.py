"""Depthwise convolution and pooling: windows over each channel alone, of float images in channel-last layout.

The C text is ``c/sliding.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Operand, Packed, Stored
from turnkey.mlf.kernels.convolution import BLOCK
from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.windowed import Windowed, windowed, windowed_convolution
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import CHANNEL_LAST

if TYPE_CHECKING:
    import onnx


def depthwise(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Conv of float with one channel per group and one output for it; a Pad in front, an epilogue behind."""
    found = windowed_convolution(node, graph)
    if found is None:
        return None
    weight = graph.tensors[found.node.input[1]].shape
    if weight[1] != 1 or weight[0] != attribute(found.node, "group", 1) or weight[0] == 1:
        return None
    return _claim(found, "WEIGHTED", graph)


def pool(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """MaxPool and AveragePool of float, whose windows all hold at least one place of the image."""
    if node.op_type not in ("MaxPool", "AveragePool") or len([name for name in node.output if name]) != 1:
        return None
    if graph.tensors[node.input[0]].dtype != "float32":
        return None
    counts_padding = bool(attribute(node, "count_include_pad", 0))
    if counts_padding and attribute(node, "ceil_mode", 0):  # what then lies beyond the padding is not counted
        return None
    kind = "MAXIMUM" if node.op_type == "MaxPool" else "MEAN_WITH_PADDING" if counts_padding else "MEAN"
    return _claim(windowed(node, graph, extent=attribute(node, "kernel_shape")), kind, graph)


def _claim(found: Windowed | None, kind: str, graph: NodeGraph) -> Claim | None:
    if found is None or not found.window.always_holds_places:
        return None
    return found.claim(partial(_made, found, kind, graph))


def _made(found: Windowed, kind: str, graph: NodeGraph, _layouts: Mapping[str, str]) -> Made:
    node, window, epilogue = found.node, found.window, found.epilogue
    batch, channels = graph.tensors[found.source].shape[:2]
    inputs: tuple[Operand, ...] = (Stored(name=found.source, layout=CHANNEL_LAST),)
    if kind == "WEIGHTED":
        reach = [Axis(extent, 2 + axis, 1) for axis, extent in enumerate(graph.tensors[node.input[1]].shape[2:])]
        padded = -(-channels // BLOCK) * BLOCK
        inputs = (*inputs, Packed(name=node.input[1], axes=(*reach, Axis(padded, 0, 1))))
    weights = "in1" if kind == "WEIGHTED" else "NULL"
    inputs, bias, side = found.with_added(inputs)
    numbers = (
        *(batch, channels, *window.image, *window.result),
        *(*window.extent, *window.stride, *window.dilation, *window.before),
    )
    values = window.result[0] * window.result[1] * window.extent[0] * window.extent[1] * channels * batch
    kernel = Kernel(
        operators=("depthwise" if kind == "WEIGHTED" else node.op_type.lower(), *epilogue.operators),
        inputs=("float",) * len(inputs),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes), c_text("sliding")),
        statement=(
            f"const turnkey_sliding s = {{{', '.join(map(str, numbers))}, TURNKEY_{kind}, "
            f"{epilogue.activation.c_arguments()}}};\n"
            f"turnkey_slide_over(&s, in0, {weights}, {bias}, {side}, out0);"
        ),
        kind="depthwise" if kind == "WEIGHTED" else "pool",
        overwrites=epilogue.overwrites(len(inputs), found.source),
        macs=values if kind == "WEIGHTED" else 0,
    )
    return Made(kernel=kernel, inputs=inputs, outputs=(Stored(name=epilogue.output, layout=CHANNEL_LAST),))
