"""8-bit and 4-bit forms of ONNX files."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from sources import LINEAR, linear_weights, run_file, write_onnx

from turnkey.errors import ConversionError, UsageError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_file import load_graph
from turnkey.formats.onnx_int4 import Int4Settings
from turnkey.formats.onnx_int8 import Int8StaticSettings

TWO_LAYERS = """
<ir_version: 9, opset_import: ["": 20]>
layers (float[N,40] x) => (float[N,10] y) {
  h = MatMul(x, w)
  c = Add(h, b)
  r = Relu(c)
  y = MatMul(r, v)
}
"""


def weights():
    generator = np.random.default_rng(1)
    return {**linear_weights(), "v": generator.standard_normal((30, 10)).astype(np.float32) / 5}


def inputs(count, scale=1.0, seed=0):
    generator = np.random.default_rng(seed)
    return tuple({"x": (generator.standard_normal((4, 40)) * scale).astype(np.float32)} for _ in range(count))


@pytest.fixture
def parent(tmp_path):
    return write_onnx(tmp_path / "model.onnx", TWO_LAYERS, weights())


def convert(name, parent, path, samples=(), **settings):
    form = find_format(name)
    request = ConvertRequest(parent=parent, path=path, settings=form.settings_type(**settings), samples=samples)
    return form.convert(request)


def error(parent, path, sample):
    wanted, made = run_file(parent, sample)["y"], run_file(path, sample)["y"]
    return float(np.linalg.norm(made - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("name", ["onnx-int8-dynamic", "onnx-int8-static"])
def test_eight_bits_are_a_little_off_and_say_what_was_quantised(tmp_path, parent, name):
    conversion = convert(name, parent, tmp_path / "int8.onnx", inputs(40))
    assert 1e-4 < error(parent, conversion.path, inputs(1, seed=9)[0]) < 0.1
    assert conversion.notes[0].startswith("quantised: ")
    assert "MatMul" in conversion.notes[0] or "Gemm" in conversion.notes[0]
    assert load_graph(conversion.path).graph.input[0].type.tensor_type.shape.dim[0].dim_param == "N"


@pytest.mark.parametrize("name", ["onnx-int8-dynamic", "onnx-int8-static"])
def test_a_branch_that_reads_what_is_made_outside_of_it_stays_behind_it(tmp_path, name):
    text = """<ir_version: 9, opset_import: ["": 20]>
    g (float[N,40] x, bool c) => (float[N,30] y) {
      h = MatMul(x, w)
      y = If(c) <
        then_branch = t () => (float[N,30] p) { p = Add(h, b) },
        else_branch = e () => (float[N,30] q) { q = Neg(h) }
      >
    }"""
    parent = write_onnx(tmp_path / "branch.onnx", text, linear_weights())
    samples = tuple({**sample, "c": np.array(index % 2 == 0)} for index, sample in enumerate(inputs(8)))
    conversion = convert(name, parent, tmp_path / "q.onnx", samples)
    assert all(error(parent, conversion.path, sample) < 0.1 for sample in samples)


def test_ranges_come_from_the_samples_and_garbage_ruins_the_outputs(tmp_path, parent):
    good = convert("onnx-int8-static", parent, tmp_path / "good.onnx", inputs(40))
    bad = convert("onnx-int8-static", parent, tmp_path / "bad.onnx", inputs(40, scale=1e-3))
    sample = inputs(1, seed=9)[0]
    assert error(parent, good.path, sample) < 0.1 < 0.3 < error(parent, bad.path, sample)
    assert "calibrated on 40 samples (minmax)" in good.notes


def test_without_samples_there_is_no_static_form_and_without_operators_none_at_all(tmp_path, parent):
    with pytest.raises(ConversionError, match="no samples"):
        convert("onnx-int8-static", parent, tmp_path / "q.onnx")
    plain = write_onnx(
        tmp_path / "relu.onnx", '<ir_version: 9, opset_import: ["": 20]> g (float[2] x) => (float[2] y) {y = Relu(x)}'
    )
    with pytest.raises(ConversionError, match="nothing that") as caught:
        convert("onnx-int8-dynamic", plain, tmp_path / "q.onnx")
    assert "Relu" in caught.value.evidence
    assert not (tmp_path / "q.onnx").exists()


def test_excluded_nodes_and_other_operator_types_stay_as_they_are(tmp_path, parent):
    model = onnx.load(parent)
    model.graph.node[-1].name = "last"
    onnx.save(model, parent)
    conversion = convert("onnx-int8-dynamic", parent, tmp_path / "q.onnx", exclude=("last",))
    assert conversion.notes[0].startswith("quantised: 1 ")
    assert [node.op_type for node in load_graph(conversion.path).graph.node if node.name == "last"] == ["MatMul"]
    with pytest.raises(ConversionError, match="nothing that"):
        convert("onnx-int8-dynamic", parent, tmp_path / "q.onnx", operators=("Conv",))


@pytest.mark.parametrize("method", ["entropy", "percentile"])
def test_other_ways_to_find_ranges_work(tmp_path, parent, method):
    conversion = convert("onnx-int8-static", parent, tmp_path / "q.onnx", inputs(8), method=method)
    assert error(parent, conversion.path, inputs(1, seed=9)[0]) < 0.3


def test_four_bits_shrink_the_weights_and_need_onnx_runtimes_own_operator(tmp_path):
    generator = np.random.default_rng(0)
    text = LINEAR.replace("[N,40]", "[N,256]").replace("[N,30]", "[N,128]")
    large = {"w": generator.standard_normal((256, 128)).astype(np.float32), "b": np.zeros(128, np.float32)}
    parent = write_onnx(tmp_path / "large.onnx", text, large)
    conversion = convert("onnx-int4", parent, tmp_path / "int4.onnx")
    x = {"x": generator.standard_normal((4, 256)).astype(np.float32)}
    assert conversion.path.stat().st_size < parent.stat().st_size / 4
    assert any("com.microsoft.MatMulNBits" in note for note in conversion.notes)
    assert 0.01 < error(parent, conversion.path, x) < 0.25


def test_a_gemm_with_transposed_weights_takes_its_four_bit_form_as_product_and_sum(tmp_path):
    generator = np.random.default_rng(0)
    text = """<ir_version: 9, opset_import: ["": 20]>
    g (float[N,256] x) => (float[N,64] y) { h = Gemm<transB = 1>(x, w, b)  y = Relu(h) }"""
    weights = {"w": generator.standard_normal((64, 256)).astype(np.float32), "b": np.ones(64, np.float32)}
    parent = write_onnx(tmp_path / "gemm.onnx", text, weights)
    conversion = convert("onnx-int4", parent, tmp_path / "int4.onnx")
    assert [node.op_type for node in load_graph(conversion.path).graph.node] == ["MatMulNBits", "Add", "Relu"]
    assert error(parent, conversion.path, {"x": generator.standard_normal((4, 256)).astype(np.float32)}) < 0.25
    assert conversion.path.stat().st_size < parent.stat().st_size / 3  # the weights of the Gemm are gone


@pytest.mark.parametrize("wrong", [lambda: Int8StaticSettings(method="guess"), lambda: Int4Settings(block_size=7)])
def test_settings_that_do_not_exist_are_refused(wrong):
    with pytest.raises(UsageError, match=r"guess|7") as caught:
        wrong()
    assert caught.value.remedy.startswith("one of")


def test_weights_that_a_constant_operator_turns_are_quantised_too(tmp_path):
    generator = np.random.default_rng(0)
    text = """<ir_version: 9, opset_import: ["": 20]>
    g (float[N,S,64] x) => (float[N,S,32] y) { t = Transpose(w)  m = MatMul(x, t)  y = Add(m, b) }"""
    weights = {"w": generator.standard_normal((32, 64)).astype(np.float32), "b": np.ones(32, np.float32)}
    conversion = convert("onnx-int4", write_onnx(tmp_path / "m.onnx", text, weights), tmp_path / "int4.onnx")
    assert [node.op_type for node in load_graph(conversion.path).graph.node] == ["MatMulNBits", "Add"]
