"""Activations: what a graph says with one node or several, and one number says in C (`c/vectors.h`)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.node import attribute

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """What is done to every value.

    Attributes:
        name: of the constant in C, without its prefix.
        low, high: bounds of CLIP; LEAKY has its slope in low.
    """

    name: str = "NONE"
    low: float = 0.0
    high: float = 0.0

    def c_arguments(self) -> str:
        """The last arguments of ``turnkey_activate``."""
        return f"TURNKEY_{self.name}, {c_float(self.low)}, {c_float(self.high)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Activated:
    """An activation in a graph: the nodes that make it, and its result."""

    nodes: tuple[onnx.NodeProto, ...]
    output: str
    activation: Activation


_SINGLE = {
    "Relu": "RELU",
    "Sigmoid": "SIGMOID",
    "Tanh": "TANH",
    "HardSwish": "HARD_SWISH",
}


def activation_of(node: onnx.NodeProto, graph: NodeGraph) -> Activation | None:
    """A node that is an activation by itself; None if it is none."""
    if node.op_type in _SINGLE:
        return Activation(name=_SINGLE[node.op_type])
    if node.op_type == "LeakyRelu":
        return Activation(name="LEAKY", low=attribute(node, "alpha", 0.01))
    if node.op_type == "Gelu":
        return Activation(name="TANH_GELU" if attribute(node, "approximate", b"none") == b"tanh" else "GELU")
    if node.op_type == "Clip":
        return _clip(node, graph)
    return None


def activation_behind(name: str, graph: NodeGraph) -> Activated | None:
    """The activation of a tensor that nothing else reads; None if there is none."""
    if graph.is_output(name):
        return None
    found = _activation_behind(name, graph)
    if found is None or graph.tensors[found.output].shape != graph.tensors[name].shape:
        return None  # constants of more axes would change the shape
    return found


def _activation_behind(name: str, graph: NodeGraph) -> Activated | None:
    user = graph.sole_user(name)
    if user is not None:
        made = activation_of(user, graph)
        return None if made is None else Activated(nodes=(user,), output=user.output[0], activation=made)
    users = graph.users(name)
    if len(users) == 2 and all(graph.producer(user.output[0]) is user for user in users):  # nobody claims them
        return _silu(name, users, graph) or _gelu(name, users, graph)
    return None


def scalar(name: str, graph: NodeGraph) -> float | None:
    """The value of a constant of one element; None for anything else."""
    array = graph.constants.get(name)
    return None if array is None or array.size != 1 else float(array.reshape(-1)[0])


def _clip(node: onnx.NodeProto, graph: NodeGraph) -> Activation | None:
    if graph.opset < 11:
        low, high = attribute(node, "min", -math.inf), attribute(node, "max", math.inf)
    else:
        bounds = [node.input[i] if len(node.input) > i else "" for i in (1, 2)]
        values = [scalar(name, graph) if name else default for name, default in zip(bounds, _OPEN, strict=True)]
        if values[0] is None or values[1] is None:
            return None
        low, high = values[0], values[1]
    if math.isnan(low) or math.isnan(high):
        return None
    return Activation(name="RELU") if low == 0 and high == math.inf else Activation(name="CLIP", low=low, high=high)


_OPEN = (-math.inf, math.inf)


def _silu(name: str, users: Sequence[onnx.NodeProto], graph: NodeGraph) -> Activated | None:
    """x sigmoid(x)."""
    inner = next((user for user in users if user.op_type == "Sigmoid"), None)
    outer = None if inner is None else graph.sole_user(inner.output[0])
    if inner is None or outer is None or outer.op_type != "Mul" or {*outer.input} != {name, inner.output[0]}:
        return None
    return Activated(nodes=(inner, outer), output=outer.output[0], activation=Activation(name="SILU"))


def _gelu(name: str, users: Sequence[onnx.NodeProto], graph: NodeGraph) -> Activated | None:
    """x (1 + erf(x / sqrt 2)) / 2, the factors in any order."""
    scaled = next((user for user in users if _scales(user, name, math.sqrt(0.5), graph)), None)
    error = None if scaled is None else graph.sole_user(scaled.output[0])
    added = None if error is None or error.op_type != "Erf" else graph.sole_user(error.output[0])
    if scaled is None or error is None or added is None or added.op_type != "Add":
        return None
    if _other_scalar(added, error.output[0], graph) != 1.0:
        return None
    nodes = [scaled, error, added]
    halved = multiplied = False
    current = added.output[0]
    for _ in range(3):  # times x, or times x / 2, and times 1 / 2 where that is still due
        user = graph.sole_user(current)
        if user is None or user.op_type not in ("Mul", "Div"):
            return None
        other = next((read for read in user.input if read != current), "")
        if not halved and _scales(user, current, 0.5, graph):
            halved = True
        elif user.op_type != "Mul" or multiplied:
            return None
        elif other == name:
            multiplied = True
        elif not halved and (half := _half_of(other, name, graph)) is not None:
            halved = multiplied = True
            nodes.append(half)
        else:
            return None
        nodes.append(user)
        current = user.output[0]
        if halved and multiplied:
            return Activated(nodes=tuple(nodes), output=current, activation=Activation(name="GELU"))
    return None


def _half_of(half: str, name: str, graph: NodeGraph) -> onnx.NodeProto | None:
    """The node that halves a tensor for one user."""
    node = graph.producer(half)
    if node is None or not _scales(node, name, 0.5, graph) or graph.sole_user(half) is None:
        return None
    return node


def _scales(node: onnx.NodeProto, name: str, factor: float, graph: NodeGraph) -> bool:
    """Whether a node is the tensor times that factor, to the precision of a float."""
    if node.op_type == "Mul":
        found = _other_scalar(node, name, graph)
    elif node.op_type == "Div" and node.input[0] == name:
        divisor = scalar(node.input[1], graph)
        found = 1 / divisor if divisor else None
    else:
        return False
    return found is not None and math.isclose(found, factor, rel_tol=1e-6)


def _other_scalar(node: onnx.NodeProto, name: str, graph: NodeGraph) -> float | None:
    """The constant that a node of two inputs reads beside a tensor."""
    if name not in node.input or len(node.input) != 2:
        return None
    return scalar(node.input[1] if node.input[0] == name else node.input[0], graph)
