"""Walks over an ONNX model: its graphs, nodes and constant tensors, however deeply nested; and their order."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto


def graphs_in(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """The graphs that a node holds as attributes, without those nested in them."""
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and all graphs nested in its nodes, outermost first."""
    yield graph
    for node in graph.node:
        for nested in graphs_in(node):
            yield from graphs_of(nested)


def nodes_of(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    """All nodes: of the graph, of nested graphs and of local functions."""
    for graph in graphs_of(model.graph):
        yield from graph.node
    for function in model.functions:
        for node in function.node:
            yield node
            for nested in graphs_in(node):
                for graph in graphs_of(nested):
                    yield from graph.node


def foreign_operators(model: onnx.ModelProto) -> list[str]:
    """Operators that the ONNX standard does not know, such as ``com.microsoft.FusedMatMul``; sorted."""
    local = {(function.domain, function.name) for function in model.functions}
    return sorted(
        {
            f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            for node in nodes_of(model)
            if (node.domain, node.op_type) not in local and not onnx.defs.has(node.op_type, node.domain)
        }
    )


def tensors_of(model: onnx.ModelProto) -> Iterator[TensorProto]:
    """All constant tensors: initialisers of every graph, and attributes of every node."""
    for graph in graphs_of(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for node in nodes_of(model):
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def names_in(model: onnx.ModelProto) -> Iterator[str]:
    """Names of everything that a model holds; as bytes where they are no UTF-8, which protobuf lets pass."""
    yield model.graph.name
    for graph in graphs_of(model.graph):
        for value in (*graph.input, *graph.output, *graph.value_info):
            yield value.name
            yield from (dim.dim_param for dim in value.type.tensor_type.shape.dim)
    for node in nodes_of(model):
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
    for tensor in tensors_of(model):
        yield tensor.name


def names_read(node: onnx.NodeProto) -> set[str]:
    """Values that a node needs, also those that its nested graphs take from outside of them."""
    names = {name for name in node.input if name}
    for graph in graphs_in(node):
        own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
        own |= {name for inner in graph.node for name in inner.output}
        read = {name for inner in graph.node for name in names_read(inner)}
        names |= (read | {value.name for value in graph.output}) - own
    return names


def put_in_order(graph: onnx.GraphProto) -> None:
    """Sort the nodes so that values exist before they are used, in place; otherwise their order stays.

    Raises:
        ValueError: nodes wait for each other.
    """
    producers = {name: index for index, node in enumerate(graph.node) for name in node.output if name}
    placed: set[int] = set()
    waiting: set[int] = set()
    order: list[int] = []
    for start in range(len(graph.node)):
        stack = [start]
        while stack:
            index = stack[-1]
            if index in placed:
                stack.pop()
                continue
            read = names_read(graph.node[index])
            waits_for = {producers[name] for name in read if name in producers} - placed - {index}
            if waits_for & waiting:
                raise ValueError(f"the node {graph.node[index].name or index} waits for itself")
            if waits_for:
                waiting.add(index)
                stack.extend(sorted(waits_for, reverse=True))
            else:
                waiting.discard(index)
                placed.add(stack.pop())
                order.append(index)
    if order == sorted(order):
        return
    copies = [onnx.NodeProto.FromString(graph.node[index].SerializeToString()) for index in order]
    del graph.node[:]
    graph.node.extend(copies)
