"""Files optimised by ONNX Runtime."""

from __future__ import annotations

import numpy as np
import pytest
from sources import run_file, write_onnx

from turnkey.errors import ConversionError, InputError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_file import check_file, load_graph
from turnkey.formats.onnx_ort import OrtOptimizationSettings

GELU = """
<ir_version: 8, opset_import: ["": 17]>
gelu (float[N,8] x) => (float[N,8] y) {
  zero = Constant<value: tensor = float {0}>()
  kept = Add(x, zero)
  scaled = Div(kept, root)
  error = Erf(scaled)
  shifted = Add(error, one)
  product = Mul(kept, shifted)
  y = Mul(product, half)
}
"""
NUMBERS = {"root": np.float32(2**0.5), "one": np.float32(1), "half": np.float32(0.5)}
X = {"x": np.linspace(-3, 3, 16, dtype=np.float32).reshape(2, 8)}


def optimise(parent, path, level="basic"):
    return find_format("onnx-opt").convert(
        ConvertRequest(parent=parent, path=path, settings=OrtOptimizationSettings(level=level))
    )


@pytest.mark.parametrize(("level", "fused"), [("basic", False), ("extended", True), ("all", True)])
def test_the_optimised_file_computes_the_same_and_only_basic_is_portable(tmp_path, level, fused):
    parent = write_onnx(tmp_path / "gelu.onnx", GELU, NUMBERS)
    conversion = optimise(parent, tmp_path / "opt.onnx", level)
    np.testing.assert_allclose(run_file(conversion.path, X)["y"], run_file(parent, X)["y"], rtol=1e-5, atol=1e-6)
    model = load_graph(conversion.path)
    assert len(model.graph.node) < 7
    assert any(node.domain == "com.microsoft" for node in model.graph.node) is fused
    assert conversion.exporter == f"onnxruntime-{level}"
    assert any("host-specific" in note for note in conversion.notes) is (level != "basic")
    assert any("com.microsoft.Gelu" in note for note in conversion.notes) is fused
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


def test_a_model_that_onnx_runtime_refuses_is_a_conversion_error_and_leaves_nothing(tmp_path):
    text = '<ir_version: 9, opset_import: ["": 20]> g (bfloat16[2] x) => (bfloat16[2] y) {y = Sigmoid(x)}'
    parent = write_onnx(tmp_path / "b.onnx", text)
    with pytest.raises(ConversionError, match=r"cannot optimise b.onnx") as caught:
        optimise(parent, tmp_path / "out" / "opt.onnx")
    assert "Sigmoid" in caught.value.evidence
    assert not (tmp_path / "out").exists()


def test_a_parent_that_is_no_model_is_an_input_error(tmp_path):
    (tmp_path / "broken.onnx").write_bytes(b"broken")
    with pytest.raises(InputError):
        optimise(tmp_path / "broken.onnx", tmp_path / "opt.onnx")


def test_an_old_file_whose_weights_are_inputs_stays_valid(tmp_path):
    text = """<ir_version: 3, opset_import: ["": 9]>
    old (float[1,4] x, float[4,4] w, float[4,4] v) => (float[1,4] y) {
      c = MatMul(w, v)
      y = MatMul(x, c)
    }"""
    weights = {"w": np.eye(4, dtype=np.float32) * 2, "v": np.eye(4, dtype=np.float32)}
    parent = write_onnx(tmp_path / "old.onnx", text, weights)
    conversion = optimise(parent, tmp_path / "opt.onnx")
    check_file(conversion.path)
    assert [value.name for value in load_graph(conversion.path).graph.input] == ["x"]
    x = {"x": np.ones((1, 4), np.float32)}
    np.testing.assert_allclose(run_file(conversion.path, x)["y"], 2 * x["x"])
