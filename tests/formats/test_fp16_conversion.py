"""Files in float16."""

from __future__ import annotations

import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto
from sources import LINEAR, linear_weights, run_file, write_onnx

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_fp16 import Fp16Settings

HEADER = '<ir_version: 9, opset_import: ["": 20]>'
MIXED = """
mixed (float[N,4] x, int64[N] ids, double[N,4] d, bool[N] keep)
  => (float[N,4] y, int64[N] same, double[N,4] e)
{
  row = Gather(table, ids)
  sum = Add(x, row)
  total = CumSum(sum, axis)
  again = Max(total, sum)
  y = Relu(again)
  same = Identity(ids)
  e = Neg(d)
}"""
WEIGHTS = {"table": np.arange(20, dtype=np.float32).reshape(5, 4) / 8, "axis": np.int64(1)}
SAMPLE = {
    "x": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4),
    "ids": np.array([0, 4, 2]),
    "d": np.ones((3, 4)) / 3,
    "keep": np.array([True, False, True]),
}


def convert(parent, path, **settings):
    return find_format("onnx-fp16").convert(
        ConvertRequest(parent=parent, path=path, settings=Fp16Settings(**settings))
    )


def dtypes(values) -> dict[str, int]:
    return {value.name: value.type.tensor_type.elem_type for value in values}


@pytest.fixture
def mixed(tmp_path):
    return write_onnx(tmp_path / "mixed.onnx", HEADER + MIXED, WEIGHTS)


def test_weights_and_border_are_narrowed_and_the_numbers_stay_within_float16(mixed, tmp_path):
    conversion = convert(mixed, tmp_path / "f16.onnx")
    model = onnx.load(conversion.path)
    onnx.checker.check_model(model, full_check=True)
    assert dtypes(model.graph.input) == {
        "x": TensorProto.FLOAT16,
        "ids": TensorProto.INT32,
        "d": TensorProto.FLOAT16,
        "keep": TensorProto.BOOL,
    }
    assert dtypes(model.graph.output)["y"] == dtypes(model.graph.output)["e"] == TensorProto.FLOAT16
    assert next(t.data_type for t in model.graph.initializer if t.name == "table") == TensorProto.FLOAT16
    expected, outputs = run_file(mixed, SAMPLE), run_file(conversion.path, SAMPLE)
    for name, array in expected.items():
        np.testing.assert_allclose(outputs[name].astype(np.float64), array, rtol=2e-3, atol=2e-3)
    assert conversion.facts["downcast_applied"] is True


def test_keep_io_leaves_the_border_as_it_was(mixed, tmp_path):
    conversion = convert(mixed, tmp_path / "f16.onnx", keep_io=True)
    model, before = onnx.load(conversion.path), onnx.load(mixed)
    assert dtypes(model.graph.input) == dtypes(before.graph.input)
    assert dtypes(model.graph.output) == dtypes(before.graph.output)
    assert conversion.facts["downcast_applied"] is False
    np.testing.assert_allclose(
        run_file(conversion.path, SAMPLE)["y"], run_file(mixed, SAMPLE)["y"], rtol=2e-3, atol=2e-3
    )


def test_blocked_operators_stay_in_float32_and_unknown_ones_are_said(tmp_path):
    parent = write_onnx(tmp_path / "linear.onnx", LINEAR, linear_weights())
    conversion = convert(parent, tmp_path / "f16.onnx", block=("MatMul", "Softmax"))
    model = onnx.load(conversion.path)
    assert {t.name: t.data_type for t in model.graph.initializer} == {"w": TensorProto.FLOAT, "b": TensorProto.FLOAT16}
    assert conversion.notes == ("--block Softmax: the model has no such operator",)


def test_weights_beyond_float16_are_clipped_and_said(tmp_path):
    weights = linear_weights()
    weights["w"][0, 0] = 1e6
    parent = write_onnx(tmp_path / "linear.onnx", LINEAR, weights)
    conversion = convert(parent, tmp_path / "f16.onnx")
    assert conversion.notes == ("weights beyond float16 were clipped to 65504: w",)
    [table] = [t for t in onnx.load(conversion.path).graph.initializer if t.name == "w"]
    assert np.isfinite(onnx.numpy_helper.to_array(table)).all()


def test_external_data_is_read_and_the_import_path_stays_as_it_was(tmp_path):
    parent = write_onnx(tmp_path / "linear.onnx", LINEAR, linear_weights(), external=True)
    before = list(sys.path)
    conversion = convert(parent, tmp_path / "out" / "f16.onnx")
    assert sys.path == before
    x = {"x": np.linspace(-1, 1, 80, dtype=np.float32).reshape(2, 40)}
    np.testing.assert_allclose(run_file(conversion.path, x)["y"], run_file(parent, x)["y"], rtol=1e-2, atol=1e-2)


def test_a_file_on_which_onnx_runtime_would_crash_is_mended_with_float32_transposes(tmp_path):
    text = "g (float[N,3,8] x) => (float[A,B,24] y) {t = Transpose<perm = [1,0,2]>(x)  y = MatMul(t, w)}"
    weights = {"w": np.linspace(-1, 1, 192, dtype=np.float32).reshape(8, 24)}
    parent = write_onnx(tmp_path / "crash.onnx", HEADER + text, weights)
    conversion = convert(parent, tmp_path / "f16.onnx")
    x = {"x": np.linspace(-1, 1, 48, dtype=np.float32).reshape(2, 3, 8)}
    np.testing.assert_allclose(run_file(conversion.path, x)["y"], run_file(parent, x)["y"], rtol=1e-2, atol=1e-2)


def test_fused_operators_have_no_float16_form_and_the_remedy_is_another_order(tmp_path):
    text = '<ir_version: 9, opset_import: ["": 20, "com.microsoft": 1]>'
    text += "g (float[2,8] x) => (float[2,8] y) {y = com.microsoft.Gelu(x)}"
    parent = write_onnx(tmp_path / "fused.onnx", text)
    with pytest.raises(ConversionError, match="float16 form") as caught:
        convert(parent, tmp_path / "f16.onnx")
    assert caught.value.evidence == "com.microsoft.Gelu"
    assert "--level basic convert-fp16" in caught.value.remedy
    assert not (tmp_path / "f16.onnx").exists()


BRANCHES = """
branches (float[2,4] x, bool c) => (float[2,4] y)
{
  r = Relu(x)
  half = Constant<value_float = 0.5>()
  y = If (c) <
    then_branch = t () => (float[2,4] u) {u = CumSum(r, a)},
    else_branch = e () => (float[2,4] v) {m = MatMul(r, w) v = Mul(m, half)}
  >
}"""


@pytest.mark.parametrize("taken", [True, False])
def test_branches_with_operators_that_stay_in_float32_are_converted_inside(tmp_path, taken):
    weights = {"a": np.int64(1), "w": np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)}
    parent = write_onnx(tmp_path / "branches.onnx", HEADER + BRANCHES, weights)
    conversion = convert(parent, tmp_path / "f16.onnx")
    sample = {"x": np.linspace(-2, 2, 8, dtype=np.float32).reshape(2, 4), "c": np.array(taken)}
    np.testing.assert_allclose(
        run_file(conversion.path, sample)["y"], run_file(parent, sample)["y"], rtol=5e-3, atol=5e-3
    )


def test_large_weights_are_rounded_clipped_and_keep_their_infinities(tmp_path):
    table = np.random.default_rng(0).standard_normal((40, 2000)).astype(np.float32)
    table[0, :3] = [1e6, -1e6, -np.inf]
    text = "g (int64[2] i) => (float[2,2000] y) {y = Gather(t, i)}"
    parent = write_onnx(tmp_path / "table.onnx", HEADER + text, {"t": table})
    conversion = convert(parent, tmp_path / "f16.onnx")
    model = onnx.load(conversion.path)
    [weights] = model.graph.initializer
    table_in_range = table.clip(-65504, 65504)
    table_in_range[0, 2] = -np.inf
    expected = table_in_range.astype(np.float16)
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(weights), expected)
    assert conversion.notes == ("weights beyond float16 were clipped to 65504: t",)
    np.testing.assert_array_equal(run_file(conversion.path, {"i": np.array([0, 39])})["y"], expected[[0, 39]])
