"""What a kernel does with a result before it writes it: adds a tensor of the same shape, and keeps it between bounds.

Add, Relu and Clip behind a convolution or a matrix product cost a pass over memory each; fused they cost nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import NodeGraph, attribute

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Epilogue:
    """Nodes behind a kernel's own.

    Attributes:
        side: a tensor that is added; empty for none.
        low, high: bounds of the result; infinite for none.
        output: what the last of all nodes computes.
    """

    nodes: tuple[onnx.NodeProto, ...]
    side: str
    low: float
    high: float
    output: str

    @property
    def operators(self) -> tuple[str, ...]:
        return tuple(node.op_type.lower() for node in self.nodes)

    def vector_lines(self, value: str, *, prefix: str = "turnkey") -> list[str]:
        """C statements that bound a vector; ``prefix`` of ``_max``, ``_min`` and ``_all``."""
        lines = []
        if self.low > -math.inf:
            lines.append(f"{value} = {prefix}_max({value}, {prefix}_all({c_float(self.low)}));")
        if self.high < math.inf:
            lines.append(f"{value} = {prefix}_min({value}, {prefix}_all({c_float(self.high)}));")
        return lines


def epilogue_of(graph: NodeGraph, result: str, *, sides: bool = True) -> Epilogue:
    """The longest epilogue behind a tensor; an empty one keeps the tensor as it is."""
    nodes: list[onnx.NodeProto] = []
    side, low, high, output = "", -math.inf, math.inf, result
    user = graph.sole_user(output)
    if sides and user is not None and user.op_type == "Add":
        other = next((name for name in user.input if name != output), "")
        if other and other not in graph.constants and _same(graph, (other, output, user.output[0])):
            nodes.append(user)
            side, output = other, user.output[0]
            user = graph.sole_user(output)
    bounds = _bounds(graph, user) if user is not None else None
    if user is not None and bounds is not None:
        nodes.append(user)
        low, high = bounds
        output = user.output[0]
    return Epilogue(nodes=tuple(nodes), side=side, low=low, high=high, output=output)


def _same(graph: NodeGraph, names: tuple[str, ...]) -> bool:
    tensors = [graph.tensors.get(name) for name in names]
    return all(
        t is not None and (t.shape, t.dtype) == (tensors[0].shape, tensors[0].dtype) for t in tensors if tensors[0]
    )


def _bounds(graph: NodeGraph, node: onnx.NodeProto) -> tuple[float, float] | None:
    if node.domain not in ("", "ai.onnx"):
        return None
    if node.op_type == "Relu":
        return 0.0, math.inf
    if node.op_type != "Clip":
        return None
    ends = []
    for index, (name, default) in enumerate((("min", -math.inf), ("max", math.inf)), start=1):
        given = node.input[index] if len(node.input) > index else ""
        if given and given not in graph.constants:
            return None
        value = float(graph.constants[given].item()) if given else float(attribute(node, name, default))
        ends.append(value)
    low, high = ends
    return (low, high) if low <= high else None


def c_float(value: float) -> str:
    """A float32 as a C constant that reads back as the same bits."""
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".en") else f"{text}.0f"
