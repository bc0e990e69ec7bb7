"""A node that slides a window over images, with what its kernel takes over: a Pad in front, an epilogue behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Operand, Stored
from turnkey.mlf.kernels.epilogue import Epilogue, epilogue_of
from turnkey.mlf.kernels.padding import PadInFront, pad_in_front
from turnkey.mlf.kernels.window import Window, window_of
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Windowed:
    """A Conv or pooling node in its surroundings.

    Attributes:
        node: itself.
        nodes: with those that its kernel takes over.
        source: name of the image, before any padding.
        window: padding in front included.
    """

    node: onnx.NodeProto
    nodes: tuple[onnx.NodeProto, ...]
    source: str
    window: Window
    epilogue: Epilogue

    def claim(self, make: Callable[[Mapping[str, str]], Made]) -> Claim:
        """The claim of all nodes."""
        side = self.epilogue.side
        return Claim(nodes=self.nodes, reads=(self.source, *((side,) if side else ())), make=make)

    def with_added(self, inputs: Sequence[Operand]) -> tuple[tuple[Operand, ...], str, str]:
        """Operands with a convolution's bias and the epilogue's tensor behind them, and what C calls these two."""
        operands, names = list(inputs), []
        bias = self.node.input[2] if self.node.op_type == "Conv" and len(self.node.input) > 2 else ""
        for name, layout in ((bias, ROW_MAJOR), (self.epilogue.side, CHANNEL_LAST)):
            names.append(f"in{len(operands)}" if name else "NULL")
            operands += [Stored(name=name, layout=layout)] if name else []
        return tuple(operands), names[0], names[1]


def windowed(
    node: onnx.NodeProto, graph: NodeGraph, *, extent: Sequence[int], front: PadInFront | None = None
) -> Windowed | None:
    """The surroundings of a node with a window of that extent; None where the window is none that we know.

    Args:
        front: a Pad whose only user the node is.
    """
    source = front.source if front is not None else node.input[0]
    window = window_of(
        node,
        image=graph.tensors[source].shape[2:],
        result=graph.tensors[node.output[0]].shape[2:],
        extent=extent,
        padded=front.pads if front is not None else (),
    )
    if window is None:
        return None
    epilogue = epilogue_of(graph, node.output[0])
    nodes = (*((front.node,) if front is not None else ()), node, *epilogue.nodes)
    return Windowed(node=node, nodes=nodes, source=source, window=window, epilogue=epilogue)


def windowed_convolution(node: onnx.NodeProto, graph: NodeGraph) -> Windowed | None:
    """A Conv of float with constant weights that begins with a node: itself, or a Pad in front of it."""
    front = pad_in_front(node, graph)
    main = front.user if front is not None else node
    if main.op_type != "Conv":
        return None
    names = [name for name in main.input if name]
    if any(graph.tensors[name].dtype != "float32" for name in names) or not {*names[1:]} <= graph.constants.keys():
        return None
    return windowed(main, graph, extent=graph.tensors[main.input[1]].shape[2:], front=front)
