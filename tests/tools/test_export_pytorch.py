"""The tool export-pytorch on states with a live model."""

from __future__ import annotations

import pytest
import torch
from model_builds import Net, loaded, samples_of, source, state_of

from turnkey.errors import ConversionError, ModelError
from turnkey.formats.onnx_file import load_graph, opset_of
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.tool import ToolSkipped
from turnkey.tools.export_pytorch import ExportPytorchModel, parse_axis


@pytest.fixture
def state(tmp_path):
    return state_of(tmp_path, source(Net(), samples_of((2, 3, 8))))


def test_the_file_its_lineage_and_its_statistics(state, capsys):
    after = ExportPytorchModel().run(state, opset=17, exporter="torchscript")
    variant = after.variant()
    assert (variant.key, variant.exporter, variant.lineage) == ("onnx", "torchscript", ())
    assert variant.path == "onnx/net-op17-base.onnx"
    assert opset_of(load_graph(after.build_dir / variant.path)) == after.onnx_opset == 17
    assert after.listing == "onnx/net-op17-base.onnx, batch free"
    assert variant.size_bytes == (after.build_dir / variant.path).stat().st_size
    found = after.statistics
    assert (found["onnx_file"], found["exporter"], found["opset"]) == (variant.path, "torchscript", 17)
    assert found["export_attempts"] == {"torchscript": "chosen (batch = x:0)"}
    assert found["onnx_ops_counter"]["Gemm"] == 1
    # Per row of 2 · 3: two linear layers of 8 to 8; per row of 2 the head of 8 to 4.
    assert found["onnx_total_flops"] > 2 * 6 * 2 * 64 + 2 * 2 * 32
    assert found["onnx_input_dimensions"] == {"x": ["batch", 3, 8]}
    log = capsys.readouterr().out
    assert "exporter" in log
    assert "torchscript  chosen" in log


def test_the_opset_of_the_environment_is_used_when_none_is_given(state, monkeypatch):
    monkeypatch.setenv("TURNKEY_ONNX_OPSET", "16")
    after = ExportPytorchModel().run(state, exporter="torchscript", dynamic=["x:1"])
    assert after.variant().path == "onnx/net-op16-base.onnx"
    assert after.statistics["onnx_input_dimensions"] == {"x": ["batch", "x_1", 8]}


def test_a_second_export_replaces_the_first_and_what_was_made_from_it(state):
    first = ExportPytorchModel().run(state, opset=17, exporter="torchscript")
    first = first.with_variant(Variant(key="onnx-opt", format="onnx", path="o.onnx", sha256="", lineage=("onnx",)))
    second = ExportPytorchModel().run(first, opset=18, exporter="torchscript")
    assert [variant.key for variant in second.variants] == ["onnx"]


def test_an_onnx_input_has_nothing_to_export_and_a_build_without_model_says_how_to_get_one(tmp_path):
    text = '<ir_version: 9, opset_import: ["": 20]> g (float[2] x) => (float[2] y) {y = Relu(x)}'
    state = loaded(tmp_path, text, ({},))
    assert not ExportPytorchModel.needs_live_model(state)
    with pytest.raises(ToolSkipped):
        ExportPytorchModel().run(state)
    empty = State(cache_dir=tmp_path, build_name="empty")
    assert ExportPytorchModel.needs_live_model(empty)
    with pytest.raises(ModelError) as caught:
        ExportPytorchModel().run(empty)
    assert "discover export-pytorch" in caught.value.remedy


def test_a_failed_export_says_who_failed_and_leaves_no_file(tmp_path):
    class Difference(torch.nn.Module):
        def forward(self, x):
            return torch.diff(x)

    state = state_of(tmp_path, source(Difference(), samples_of((2, 3))))
    with pytest.raises(ConversionError) as caught:
        ExportPytorchModel().run(state, exporter="torchscript")
    assert "aten::diff" in caught.value.evidence
    assert not list((state.build_dir / "onnx").iterdir())


@pytest.mark.parametrize("text", ["x", "x:", ":1", "x:one", "x:--1"])
def test_a_malformed_axis_is_refused_while_the_command_is_read(text):
    with pytest.raises(ValueError, match="NAME:AXIS"):
        parse_axis(text)


@pytest.mark.parametrize("text", ["input_ids:1", "past.0.key:-2", "a:b:0"])
def test_names_of_axes_may_hold_dots_and_colons(text):
    assert parse_axis(text) == text
