"""Which pairs of variant and runtime a benchmark measures."""

from __future__ import annotations

from model_builds import Net, samples_of, source, state_of

from turnkey.pipeline.state import Variant
from turnkey.tools.candidates import candidates_of


def test_a_runtime_of_live_models_says_that_it_does_not_measure_the_variant_that_was_named(tmp_path, capsys):
    model = source(Net().eval(), samples_of((2, 3, 8)))
    variant = Variant(key="onnx-opt", format="onnx", path="onnx/m.onnx", sha256="", exporter="dynamo")
    state = state_of(tmp_path, model).with_variant(variant)
    found = candidates_of(state, model, runtimes=["torch", "onnxruntime"], variants=["onnx-opt"], options={})
    assert [each.key for each in found] == ["torch", "onnx-opt @ onnxruntime"], "the live model is the baseline"
    assert "torch measures the live model: it executes no file such as onnx-opt" in capsys.readouterr().out
    candidates_of(state, model, runtimes=["torch"], options={})
    assert capsys.readouterr().out == "", "nothing was named"
