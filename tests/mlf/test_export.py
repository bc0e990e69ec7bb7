"""From an ONNX model to a tarball, and back to the same numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx.parser
import onnxruntime as ort
import pytest

import turnkey.mlf as mlf

pytest.importorskip("emx_onnx_cgen")

CNN = """
<ir_version: 8, opset_import: ["" : 17]>
cnn (float[1,2,8,8] image) => (float[1,3] scores)
<float[4,2,3,3] w, float[4] b, float[4,3] v>
{
  a = Conv<pads=[1,1,1,1]>(image, w, b)
  r = Relu(a)
  p = GlobalAveragePool(r)
  f = Flatten(p)
  s = MatMul(f, v)
  scores = Softmax<axis=1>(s)
}
"""


def model_of(text: str, *, seed: int = 0) -> onnx.ModelProto:
    """A model from ONNX text, its uninitialised weights drawn from a seeded generator."""
    model = onnx.parser.parse_model(text)
    generator = np.random.default_rng(seed)
    for value in model.graph.value_info:
        shape = [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        values = generator.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(values, value.name))
    return model


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNKEY_CACHE_DIR", str(tmp_path / "cache"))


def test_a_cnn_comes_back_from_its_tarball_with_the_outputs_of_onnxruntime(tmp_path: Path) -> None:
    model = model_of(CNN)
    made = mlf.export(model, tmp_path / "cnn.tar", name="cnn")
    module = mlf.load(tmp_path / "cnn.tar").module()
    image = np.random.default_rng(1).standard_normal((1, 2, 8, 8)).astype(np.float32)
    (expected,) = ort.InferenceSession(model.SerializeToString()).run(None, {"image": image})
    np.testing.assert_allclose(module.run({"image": image})["scores"], expected, rtol=1e-5, atol=1e-7)
    assert made.verify["cnn"].max_rel < 1e-5
    assert made.plan["workspace"] == made.plan["lower_bound"]
