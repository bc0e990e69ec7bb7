"""Where a node came from: what both exporters leave in their files, and what nobody left."""

from __future__ import annotations

import onnx
import pytest

from turnkey.formats.module_scopes import innermost_module, values_by_submodule


def node(*, name="", scopes="", output="y"):
    made = onnx.helper.make_node("Relu", ["x"], [output], name=name)
    if scopes:
        entry = made.metadata_props.add()
        entry.key, entry.value = "pkg.torch.onnx.name_scopes", scopes
    return made


def test_metadata_of_the_torch_export_based_exporter_is_read_and_nonsense_in_it_is_ignored():
    nodes = [
        node(scopes="['', 'module.blocks.0', 'module.blocks.0.act', 'relu']"),
        node(scopes="__import__('os').system('true')", output="z"),
    ]
    model = onnx.helper.make_model(onnx.helper.make_graph(nodes, "g", [], []))
    assert values_by_submodule(model, ["", "blocks.0", "blocks.0.act"]) == {"blocks.0": ["y"], "blocks.0.act": ["y"]}


@pytest.mark.parametrize(
    ("given", "module"),
    [
        ({"scopes": "['', 'module', 'module.blocks.0', 'relu']"}, "blocks.0"),
        ({"name": "/module/fc/Gemm"}, "fc"),
        ({"name": "/module/blocks/blocks.1/act/Relu"}, "blocks.1.act"),  # children of a Sequential
        ({"name": "node_Relu_3"}, ""),
        ({"scopes": "['', 'module', 'relu']"}, ""),
    ],
)
def test_the_innermost_module_is_told_without_the_wrapper(given, module):
    assert innermost_module(node(**given)) == module
