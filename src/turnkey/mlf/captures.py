"""Names that a node reads: its inputs, and what its bodies take from the graph around them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def used_names_of(node: onnx.NodeProto) -> set[str]:
    """What a node reads, its bodies included, without what the bodies define themselves."""

    def free(graph: onnx.GraphProto) -> set[str]:
        defined = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        needed = {value.name for value in graph.output}
        for inner in graph.node:
            needed |= used_names_of(inner)
            defined |= set(inner.output)
        return needed - defined

    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            names |= free(graph)
    return names
