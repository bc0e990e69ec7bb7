"""One ONNX node as its readers see it: what people call it, its attributes, the names that it reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import onnx


def describe(node: onnx.NodeProto) -> str:
    """``Conv(conv1)``, or ``Conv(output name)`` for a node without a name."""
    return f"{node.op_type}({node.name or next((name for name in node.output if name), '')})"


def is_standard(node: onnx.NodeProto) -> bool:
    """Whether the ONNX standard says what it computes."""
    return node.domain in ("", "ai.onnx")


def attribute(node: onnx.NodeProto, name: str, default: Any = None) -> Any:
    """The value of an attribute: a number, bytes, or a list; the default where it is not given."""
    import onnx

    return next((onnx.helper.get_attribute_value(found) for found in node.attribute if found.name == name), default)


def permutation(node: onnx.NodeProto, rank: int) -> list[int]:
    """Axes of what a Transpose reads, in the order in which its result has them."""
    return list(attribute(node, "perm") or reversed(range(rank)))


def used_names_of(node: onnx.NodeProto) -> set[str]:
    """Names that it reads: its inputs, and what its bodies take from the graph around them."""

    def free(graph: onnx.GraphProto) -> set[str]:
        defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        needed = {value.name for value in graph.output}
        for inner in graph.node:
            needed |= used_names_of(inner)
            defined |= set(inner.output)
        return needed - defined

    names = {name for name in node.input if name}
    for holder in node.attribute:
        for graph in (holder.g, *holder.graphs):
            names |= free(graph)
    return names
