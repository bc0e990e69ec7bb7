"""An operator between DequantizeLinear and QuantizeLinear: what it computes on bytes, and on which."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.activation import activation_of
from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.quantum import Quantum, quantum_of
from turnkey.mlf.node import is_standard

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Quanta:
    """A quantised operand: the tensor of whole numbers, and what they stand for."""

    name: str
    quantum: Quantum


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A chain of operators with its DequantizeLinear nodes in front, and its QuantizeLinear behind.

    Attributes:
        nodes: all of them; the first is the one that was asked for.
        chain: the operators; the first reads ``inputs``.
        inputs: of the first operator; None for one that is no dequantised tensor.
        result: None where the result stays a tensor of floats.
        low, high: bounds by a rectifier behind the operators; None for none.
    """

    nodes: tuple[onnx.NodeProto, ...]
    chain: tuple[onnx.NodeProto, ...]
    inputs: tuple[Quanta | None, ...]
    output: str
    result: Quantum | None
    low: float | None = None
    high: float | None = None

    @property
    def operator(self) -> onnx.NodeProto:
        return self.chain[0]


def group_of(node: onnx.NodeProto, graph: NodeGraph, operators: Iterable[str]) -> Group | None:
    """The group around one of these operators whose first node is this DequantizeLinear; None if there is none."""
    operator = _user_of(node, graph)
    if operator is None or operator.op_type not in operators or not is_standard(operator):
        return None
    found = _dequantized(operator, node, graph)
    if found is None or not graph.tensors[operator.output[0]].bytes:
        return None
    inputs, front = found
    rectifier, low, high = _rectified(operator.output[0], graph)
    chain: tuple[onnx.NodeProto, ...] = (operator,) if rectifier is None else (operator, rectifier)
    closing = _closing(chain[-1].output[0], graph)
    if closing is None:  # the result stays a tensor of floats, and what rectifies it an operator of its own
        output = operator.output[0]
        return Group(nodes=(*front, operator), chain=(operator,), inputs=inputs, output=output, result=None)
    last, result = closing
    return Group(
        nodes=(*front, *chain, last),
        chain=chain,
        inputs=inputs,
        output=last.output[0],
        result=result,
        low=low,
        high=high,
    )


def chain_of(node: onnx.NodeProto, graph: NodeGraph, operators: Iterable[str]) -> Group | None:
    """A chain of such operators of one dequantised tensor, between the given node and a QuantizeLinear."""
    first = quantum_of(node, graph) if node.op_type == "DequantizeLinear" else None
    if first is None or first.axis is not None:
        return None
    name, chain = node.output[0], []
    while (user := graph.sole_user(name)) is not None and user.op_type in operators and user.input[0] == name:
        if any(other and other not in graph.constants for other in user.input[1:]) or len(user.output) != 1:
            return None
        chain.append(user)
        name = user.output[0]
    closing = _closing(name, graph)
    if closing is None or closing[1].axis is not None:
        return None
    return Group(
        nodes=(node, *chain, closing[0]),
        chain=tuple(chain),
        inputs=(Quanta(name=node.input[0], quantum=first),),
        output=closing[0].output[0],
        result=closing[1],
    )


def _user_of(node: onnx.NodeProto, graph: NodeGraph) -> onnx.NodeProto | None:
    return graph.sole_user(node.output[0]) if node.op_type == "DequantizeLinear" else None


def _dequantized(
    operator: onnx.NodeProto, asked: onnx.NodeProto, graph: NodeGraph
) -> tuple[tuple[Quanta | None, ...], tuple[onnx.NodeProto, ...]] | None:
    """Operands as bytes, and the nodes that dequantise them for this operator alone, the asked one first."""
    inputs: list[Quanta | None] = []
    front = [asked]
    for name in operator.input:
        producer = graph.producer(name) if name else None
        if producer is None or producer.op_type != "DequantizeLinear" or graph.sole_user(name) is None:
            inputs.append(None)
            continue
        made = quantum_of(producer, graph)
        if made is None:
            return None
        inputs.append(Quanta(name=producer.input[0], quantum=made))
        if producer.output[0] != asked.output[0]:
            front.append(producer)
    return tuple(inputs), tuple(front)


def _rectified(name: str, graph: NodeGraph) -> tuple[onnx.NodeProto | None, float | None, float | None]:
    """The Relu or Clip that alone reads a tensor, and its bounds."""
    user = graph.sole_user(name)
    activation = None if user is None else activation_of(user, graph)
    if activation is None or activation.name not in ("RELU", "CLIP"):
        return None, None, None
    return user, *((0.0, None) if activation.name == "RELU" else (activation.low, activation.high))


def _closing(name: str, graph: NodeGraph) -> tuple[onnx.NodeProto, Quantum] | None:
    user = graph.sole_user(name)
    if user is None or user.op_type != "QuantizeLinear":
        return None
    made = quantum_of(user, graph)
    return None if made is None or made.axis is not None else (user, made)
