"""Depthwise convolution and pooling: windows over each channel alone, of float images in channel-last layout.

The C text is ``c/sliding.h``.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Operand, Packed, Stored, attribute
from turnkey.mlf.kernels.convolution import BLOCK, has_float_weights
from turnkey.mlf.kernels.epilogue import Epilogue, epilogue_of
from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.kernels.padding import PadInFront, pad_in_front
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.window import Window, window_of
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import CHANNEL_LAST

if TYPE_CHECKING:
    import onnx


def depthwise(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Conv of float with one channel per group and one output for it; a Pad in front, an epilogue behind."""
    front = pad_in_front(node, graph)
    main = front.user if front is not None else node
    if main.op_type != "Conv" or not has_float_weights(main, graph):
        return None
    weight = graph.tensors[main.input[1]].shape
    if weight[1] != 1 or weight[0] != attribute(main, "group", 1) or weight[0] == 1:
        return None
    return _claim(node, main, front, weight[2:], "WEIGHTED", graph)


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
    return _claim(node, node, None, attribute(node, "kernel_shape"), kind, graph)


def _claim(
    node: onnx.NodeProto,
    main: onnx.NodeProto,
    front: PadInFront | None,
    extent: tuple[int, ...],
    kind: str,
    graph: NodeGraph,
) -> Claim | None:
    source = graph.tensors[front.source if front is not None else main.input[0]]
    result = graph.tensors[main.output[0]]
    window = window_of(
        main,
        image=source.shape[2:],
        result=result.shape[2:],
        extent=extent,
        padded=front.pads if front is not None else (),
    )
    if window is None or not window.always_holds_places:
        return None
    epilogue = epilogue_of(graph, main.output[0])
    nodes = (*((node,) if front is not None else ()), main, *epilogue.nodes)
    reads = (source.name, *((epilogue.side,) if epilogue.side else ()))
    return Claim(nodes=nodes, reads=reads, make=partial(_made, main, source.name, window, kind, epilogue, graph))


def _made(
    node: onnx.NodeProto,
    source: str,
    window: Window,
    kind: str,
    epilogue: Epilogue,
    graph: NodeGraph,
    _layouts: Mapping[str, str],
) -> Made:
    batch, channels = graph.tensors[source].shape[:2]
    inputs: list[Operand] = [Stored(name=source, layout=CHANNEL_LAST)]
    places = {"w": "NULL", "bias": "NULL", "side": "NULL"}
    if kind == "WEIGHTED":
        rank = len(graph.tensors[node.input[1]].shape)
        reach = [Axis(graph.tensors[node.input[1]].shape[axis], axis, 1) for axis in range(2, rank)]
        padded = -(-channels // BLOCK) * BLOCK
        places["w"] = "in1"
        inputs.append(Packed(name=node.input[1], axes=(*reach, Axis(padded, 0, 1))))
        if len(node.input) > 2 and node.input[2]:
            places["bias"] = "in2"
            inputs.append(Stored(name=node.input[2]))
    if epilogue.side:
        places["side"] = f"in{len(inputs)}"
        inputs.append(Stored(name=epilogue.side, layout=CHANNEL_LAST))
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
            f"turnkey_slide_over(&s, in0, {places['w']}, {places['bias']}, {places['side']}, out0);"
        ),
        kind="depthwise" if kind == "WEIGHTED" else "pool",
        overwrites=epilogue.overwrites(len(inputs), source),
        macs=values if kind == "WEIGHTED" else 0,
    )
    return Made(kernel=kernel, inputs=tuple(inputs), outputs=(Stored(name=epilogue.output, layout=CHANNEL_LAST),))
