"""Walks over ONNX graphs."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, parser

from turnkey.formats.onnx_graph import names_in, names_read, put_in_order

NESTED = """<ir_version: 9, opset_import: ["": 20]>
g (float[2] x, bool c) => (float[2] y) {
  y = If(c) <
    then_branch = t () => (float[2] p) { k = Neg(h) p = Add(k, w) },
    else_branch = e () => (float[2] q) { q = Neg(x) }
  >
  h = Relu(x)
}"""


def test_a_node_needs_what_its_nested_graphs_take_from_outside():
    graph = parser.parse_model(NESTED).graph
    assert names_read(graph.node[0]) == {"c", "h", "w", "x"}
    put_in_order(graph)
    assert [node.op_type for node in graph.node] == ["Relu", "If"]


@given(st.integers(1, 12).flatmap(lambda count: st.permutations(range(count))))
def test_a_shuffled_chain_is_put_in_order_and_an_ordered_graph_stays(places):
    nodes = [
        helper.make_node("Relu", [f"v{index}"], [f"v{index + 1}"], name=str(index)) for index in range(len(places))
    ]
    graph = helper.make_graph([nodes[place] for place in places], "g", [], [])
    put_in_order(graph)
    assert [node.name for node in graph.node] == [node.name for node in nodes]


def test_nodes_that_wait_for_each_other_are_an_error():
    nodes = [helper.make_node("Relu", ["a"], ["b"], name="one"), helper.make_node("Relu", ["b"], ["a"])]
    with pytest.raises(ValueError, match="waits for itself"):
        put_in_order(helper.make_graph(nodes, "g", [], []))


def test_names_are_those_of_nested_graphs_and_dimensions_too():
    model = parser.parse_model(NESTED.replace("float[2] x", "float[batch] x"))
    assert {"g", "batch", "x", "c", "y", "k", "p", "w", "If", "Relu"} <= set(names_in(model))
