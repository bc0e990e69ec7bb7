"""OpenVINO's own files, in four precisions."""

from __future__ import annotations

import numpy as np
import pytest
from sources import write_onnx

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.runtimes import LoadRequest, find_runtime

pytestmark = pytest.mark.needs("openvino")

TEXT = """
<ir_version: 9, opset_import: ["": 20]>
layers (float[N,64] x) => (float[N,16] y) {
  h = MatMul(x, w)
  r = Relu(h)
  y = MatMul(r, v)
}
"""


def weights():
    generator = np.random.default_rng(1)
    return {
        "w": (generator.standard_normal((64, 64)) / 8).astype(np.float32),
        "v": (generator.standard_normal((64, 16)) / 8).astype(np.float32),
    }


def inputs(count, seed=0):
    generator = np.random.default_rng(seed)
    return tuple({"x": generator.standard_normal((4, 64)).astype(np.float32)} for _ in range(count))


def run(runtime, path, sample):
    runner = find_runtime(runtime).load(LoadRequest(path=path, threads=1))
    try:
        return runner.outputs(runner.run(runner.prepare(sample))), runner.describe()
    finally:
        runner.close()


def convert(name, parent, path, samples=()):
    form = find_format(name)
    return form.convert(ConvertRequest(parent=parent, path=path, settings=form.settings_type(), samples=samples))


@pytest.fixture
def parent(tmp_path):
    return write_onnx(tmp_path / "model.onnx", TEXT, weights())


@pytest.mark.parametrize(
    ("name", "precision", "low", "high"),
    [
        ("openvino", "f32", 0.0, 1e-5),
        ("openvino-fp16", "f32", 1e-5, 5e-3),
        ("openvino-bf16", "bf16", 0.0, 5e-2),
        pytest.param("openvino-int8", "f32", 1e-4, 0.1, marks=pytest.mark.needs("nncf")),
    ],
)
def test_each_precision_is_what_its_name_says_and_the_runtime_keeps_it(tmp_path, parent, name, precision, low, high):
    conversion = convert(name, parent, tmp_path / "ov" / "model.xml", inputs(40))
    [sample] = inputs(1, seed=5)
    wanted, _ = run("onnxruntime", parent, sample)
    made, facts = run("openvino", conversion.path, sample)
    error = np.linalg.norm(made["y"] - wanted["y"]) / np.linalg.norm(wanted["y"])
    assert low <= error <= high
    assert facts["precision"] == precision
    assert conversion.companions == (tmp_path / "ov" / "model.bin",)
    assert conversion.companions[0].exists()
    assert list((tmp_path / "ov").glob(".saving-*")) == []


def test_float16_weights_take_half_the_bytes(tmp_path, parent):
    sizes = {
        name: convert(name, parent, tmp_path / name / "model.xml").companions[0].stat().st_size
        for name in ("openvino", "openvino-fp16")
    }
    assert sizes["openvino-fp16"] < 0.6 * sizes["openvino"]


def test_free_dimensions_stay_free_and_are_told(tmp_path, parent):
    from turnkey.formats.openvino_model import read_openvino_signature

    path = convert("openvino", parent, tmp_path / "model.xml").path
    signature = read_openvino_signature(path)
    assert [(spec.name, spec.dtype, spec.shape) for spec in signature.inputs] == [("x", "float32", ("batch", 64))]
    assert run("openvino", path, {"x": np.ones((7, 64), np.float32)})[0]["y"].shape == (7, 16)


def test_the_eight_bit_form_needs_samples(tmp_path, parent):
    with pytest.raises(ConversionError, match="no samples"):
        convert("openvino-int8", parent, tmp_path / "model.xml")


def test_a_file_that_openvino_refuses_is_a_conversion_error_and_leaves_nothing(tmp_path):
    text = """<ir_version: 10, opset_import: ["" : 20, "nobody" : 1]>
    g (float[2] x) => (float[2] y) { y = nobody.Knows (x) }"""
    import onnx

    onnx.save(onnx.parser.parse_model(text), tmp_path / "odd.onnx")
    with pytest.raises(ConversionError, match=r"cannot convert odd\.onnx"):
        convert("openvino", tmp_path / "odd.onnx", tmp_path / "out" / "model.xml")
    assert not (tmp_path / "out").exists()


def test_texts_are_refused_since_openvino_would_end_the_process(tmp_path):
    text = '<ir_version: 9, opset_import: ["": 20]> g (string[N] x) => (string[N] y) { y = Identity(x) }'
    with pytest.raises(ConversionError, match="tensors of text") as caught:
        convert("openvino", write_onnx(tmp_path / "texts.onnx", text), tmp_path / "model.xml")
    assert caught.value.evidence.startswith("x, y: ")
    assert "onnxruntime" in caught.value.remedy


FUSED_BORDER = """
<ir_version: 9, opset_import: ["": 20]>
tokens (int64[N,4] input_ids) => (float[N,4,3] hidden_state) {
  ids = Reshape(input_ids, shape)
  h = Gather(table, ids)
  hidden_state = Identity(h)
}
"""


@pytest.mark.parametrize("name", ["onnx", "openvino"])
def test_inputs_and_outputs_keep_their_names_where_openvino_fuses_what_is_beside_them(name, tmp_path):
    table = np.arange(15, dtype=np.float32).reshape(5, 3)
    path = write_onnx(tmp_path / "tokens.onnx", FUSED_BORDER, {"table": table, "shape": np.array([-1, 4])})
    if name != "onnx":
        path = convert(name, path, tmp_path / "model.xml").path
    sample = {"input_ids": np.array([[0, 3, 4, 1]])}
    outputs, _ = run("openvino", path, sample)
    np.testing.assert_array_equal(outputs["hidden_state"], table[sample["input_ids"]])
