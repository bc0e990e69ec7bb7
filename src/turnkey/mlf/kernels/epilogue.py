"""What a convolution does with a result before it writes it: adds a tensor of the same shape, and activates it.

Behind a convolution, Add, Relu, Clip and their like cost a pass over memory each; fused they cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.activation import Activation, activation_behind
from turnkey.mlf.kernels.claim import NodeGraph

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Epilogue:
    """Nodes behind a kernel's own.

    Attributes:
        side: a tensor that is added; empty for none.
        output: what the last of all nodes computes.
    """

    nodes: tuple[onnx.NodeProto, ...]
    side: str
    activation: Activation
    output: str

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(node.op_type.lower() for node in self.nodes)

    def overwrites(self, operands: int, source: str) -> int | None:
        """Which operand the result may replace: the added tensor, the last of them, unless it is the source too."""
        return operands - 1 if self.side and self.side != source else None


def epilogue_of(graph: NodeGraph, result: str) -> Epilogue:
    """The longest epilogue behind a tensor; an empty one keeps the tensor as it is."""
    nodes: list[onnx.NodeProto] = []
    side, output = "", result
    user = graph.sole_user(output)
    if user is not None and user.op_type == "Add":
        other = next((name for name in user.input if name != output), "")
        if other and other not in graph.constants and _same(graph, (other, output, user.output[0])):
            nodes.append(user)
            side, output = other, user.output[0]
    activated = activation_behind(output, graph)
    if activated is not None:
        nodes += activated.nodes
        output = activated.output
    activation = activated.activation if activated is not None else Activation()
    return Epilogue(nodes=tuple(nodes), side=side, activation=activation, output=output)


def _same(graph: NodeGraph, names: tuple[str, ...]) -> bool:
    tensors = [graph.tensors.get(name) for name in names]
    return len({(tensor.shape, tensor.dtype) if tensor else None for tensor in tensors}) == 1
