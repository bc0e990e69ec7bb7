"""The tool verify-exporter: a real verdict, before and after export-pytorch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from model_builds import Net, edit, export, loaded, samples_of, source, state_of

from turnkey.errors import VerificationError
from turnkey.pipeline.tool import ToolSkipped
from turnkey.tools.verify_exporter import VerifyOnnxExporter


def build(tmp_path, module):
    return state_of(tmp_path, source(module.eval(), samples_of((2, 3, 8), (2, 3, 8))))


def test_a_good_export_is_valid(tmp_path):
    state = VerifyOnnxExporter().run(export(build(tmp_path, Net())))
    assert state.statistics["torch_export_validity"] == "valid"
    assert "torchscript: valid" in state.listing


@pytest.mark.slow
def test_before_any_export_a_temporary_one_is_judged_and_nothing_is_left_behind(tmp_path):
    before = build(tmp_path, Net())
    state = VerifyOnnxExporter().run(before)
    assert state.statistics["torch_export_validity"] == "valid"
    assert state.variants == ()
    assert not list((state.build_dir / "onnx").iterdir())


def test_a_wrong_export_is_invalid_and_fails_the_input(tmp_path):
    state = export(build(tmp_path, Net()))

    def change(model):
        next(node for node in model.graph.node if node.op_type == "Relu").op_type = "Tanh"

    edit(state, change)
    with pytest.raises(VerificationError, match="torchscript changed what the model computes") as caught:
        VerifyOnnxExporter().run(state)
    assert caught.value.state.statistics["torch_export_validity"] == "invalid"
    assert "blocks.0" in caught.value.evidence
    assert "--exporter dynamo" in caught.value.remedy


def test_outputs_that_prove_nothing_are_unverified_and_no_success(tmp_path):
    class Nothing(torch.nn.Module):
        def forward(self, x):
            return x * 0.0

    with pytest.raises(VerificationError, match="zero everywhere, which proves nothing") as caught:
        VerifyOnnxExporter().run(export(build(tmp_path, Nothing())))
    assert caught.value.state.statistics["torch_export_validity"] == "unverified"


def test_given_tolerances_are_literal(tmp_path):
    class Large(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = torch.nn.Linear(8, 8)

        def forward(self, x):
            return self.fc(x).exp() * 1e4

    state = export(build(tmp_path, Large()))
    assert VerifyOnnxExporter().run(state).statistics["torch_export_validity"] == "valid"
    with pytest.raises(VerificationError):
        VerifyOnnxExporter().run(state, rtol=0.0, atol=1e-9)


def test_an_onnx_input_was_not_exported_and_is_skipped(tmp_path):
    text = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,3] x) => (float[N,3] y) { y = Exp (x) }'
    with pytest.raises(ToolSkipped, match="ONNX file"):
        VerifyOnnxExporter().run(loaded(tmp_path, text, ({"x": np.ones((1, 3), np.float32)},)))
