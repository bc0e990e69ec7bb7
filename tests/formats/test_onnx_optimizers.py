"""Optimisers of others: what they make computes the same, and says whether anything changed."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from sources import run_file, write_onnx

from turnkey.errors import ConversionError, InputError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_file import load_graph

FOLDABLE = """
<ir_version: 9, opset_import: ["": 18]>
fold (float[N,8] x) => (float[N,8] y) {
  one = Constant<value: tensor = float[1] {1.0}>()
  two = Add(one, one)
  same = Identity(x)
  y = Mul(same, two)
}
"""
PLAIN = '<ir_version: 9, opset_import: ["": 18]> g (float[N,8] x) => (float[N,8] y) { y = Relu(x) }'
LAYER_NORM = """
<ir_version: 9, opset_import: ["": 17]>
norm (float[2,4,8] x) => (float[2,4,8] y) {
  mean = ReduceMean<axes = [-1]>(x)
  centred = Sub(x, mean)
  two = Constant<value: tensor = float {2.0}>()
  squared = Pow(centred, two)
  variance = ReduceMean<axes = [-1]>(squared)
  tiny = Constant<value: tensor = float {1e-5}>()
  safe = Add(variance, tiny)
  deviation = Sqrt(safe)
  normal = Div(centred, deviation)
  scaled = Mul(normal, gamma)
  y = Add(scaled, beta)
}
"""
X = {"x": np.linspace(-3, 3, 64, dtype=np.float32).reshape(8, 8)}


def optimise(name, parent, path):
    form = find_format(name)
    return form.convert(ConvertRequest(parent=parent, path=path, settings=form.settings_type()))


@pytest.mark.parametrize("name", ["onnx-onnxscript", pytest.param("onnx-slim", marks=pytest.mark.needs("onnxslim"))])
def test_constants_are_folded_and_the_file_computes_the_same(tmp_path, name):
    parent = write_onnx(tmp_path / "m.onnx", FOLDABLE)
    conversion = optimise(name, parent, tmp_path / "o.onnx")
    np.testing.assert_allclose(run_file(conversion.path, X)["y"], 2 * X["x"])
    assert len(load_graph(conversion.path).graph.node) < 4
    assert conversion.notes[0].startswith("4 nodes became")


def test_the_transformer_optimiser_fuses_a_layer_normalisation_and_leaves_the_import_path_alone(tmp_path):
    weights = {"gamma": np.linspace(1, 2, 8, dtype=np.float32), "beta": np.ones(8, np.float32)}
    parent = write_onnx(tmp_path / "m.onnx", LAYER_NORM, weights)
    before = list(sys.path)
    conversion = optimise("onnx-transformers", parent, tmp_path / "o.onnx")
    assert sys.path == before
    assert [node.op_type for node in load_graph(conversion.path).graph.node] == ["LayerNormalization"]
    x = {"x": np.random.default_rng(0).standard_normal((2, 4, 8)).astype(np.float32)}
    np.testing.assert_allclose(run_file(conversion.path, x)["y"], run_file(parent, x)["y"], rtol=1e-4, atol=1e-5)


def test_an_optimiser_that_changed_nothing_says_so(tmp_path):
    conversion = optimise("onnx-onnxscript", write_onnx(tmp_path / "m.onnx", PLAIN), tmp_path / "o.onnx")
    assert conversion.notes[0] == "nothing was simplified: 1 nodes stay"


def test_an_optimiser_that_fails_is_named(tmp_path, monkeypatch):
    import onnxscript.optimizer

    def fail(*args, **kwargs):
        raise RuntimeError("no such pattern")

    monkeypatch.setattr(onnxscript.optimizer, "optimize", fail)
    with pytest.raises(ConversionError, match="onnxscript cannot optimise") as caught:
        optimise("onnx-onnxscript", write_onnx(tmp_path / "m.onnx", PLAIN), tmp_path / "o.onnx")
    assert "no such pattern" in caught.value.evidence
    assert not (tmp_path / "o.onnx").exists()


def test_without_a_file_the_remedy_makes_one_and_a_broken_one_is_an_input_error(tmp_path):
    with pytest.raises(ConversionError, match="no ONNX file") as caught:
        optimise("onnx-onnxscript", None, tmp_path / "o.onnx")
    assert "export-pytorch" in caught.value.remedy
    (tmp_path / "m.onnx").write_bytes(b"broken")
    with pytest.raises(InputError):
        optimise("onnx-onnxscript", tmp_path / "m.onnx", tmp_path / "o.onnx")
