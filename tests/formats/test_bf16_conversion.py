"""Files in bfloat16."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto
from onnx.reference import ReferenceEvaluator
from sources import run_file, write_onnx

from turnkey.errors import ConversionError
from turnkey.formats import ConvertRequest, find_format
from turnkey.formats.onnx_bf16 import Bf16Settings

HEADER = '<ir_version: 10, opset_import: ["": 20]>'
NETWORK = """
network (float[N,4] x, int64[N] ids) => (float[N,3] y, float[N,4] total)
{
  row = Gather(table, ids)
  total = Add(x, row)
  h = MatMul(total, w)
  masked = Add(h, mask)
  y = Softmax<axis=-1>(masked)
}"""
WEIGHTS = {
    "table": np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4),
    "w": np.linspace(-1, 2, 12, dtype=np.float32).reshape(4, 3),
    "mask": np.array([0, 0, np.finfo(np.float32).min], np.float32),
}
SAMPLE = {"x": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4), "ids": np.array([0, 4, 2])}


def convert(parent, path, **settings):
    return find_format("onnx-bf16").convert(
        ConvertRequest(parent=parent, path=path, settings=Bf16Settings(**settings))
    )


def operators(path) -> list[str]:
    return [node.op_type for node in onnx.load(path).graph.node]


@pytest.fixture
def network(tmp_path):
    return write_onnx(tmp_path / "network.onnx", HEADER + NETWORK, WEIGHTS)


def test_weights_and_operators_are_narrow_and_the_border_stays(network, tmp_path):
    conversion = convert(network, tmp_path / "bf16.onnx")
    model = onnx.load(conversion.path)
    onnx.checker.check_model(model, full_check=True)
    assert {tensor.data_type for tensor in model.graph.initializer} == {TensorProto.BFLOAT16}
    for values, before in ((model.graph.input, SAMPLE), (model.graph.output, ("y", "total"))):
        assert [value.name for value in values] == list(before)
    assert model.graph.output[0].type.tensor_type.elem_type == TensorProto.FLOAT
    assert operators(conversion.path).count("Cast") == 3  # x in, both outputs out
    assert conversion.notes == ("5 of 5 operators compute in bfloat16",)
    y, total = ReferenceEvaluator(model).run(None, SAMPLE)
    right = run_file(network, SAMPLE)
    np.testing.assert_allclose(y, right["y"], atol=2e-2)
    np.testing.assert_allclose(total, right["total"], atol=2e-2)
    assert np.isfinite(y).all(), "the mask of float32's lowest number did not become infinite"


def test_every_number_of_a_weight_is_the_nearest_bfloat16(network, tmp_path):
    model = onnx.load(convert(network, tmp_path / "bf16.onnx").path)
    found = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    np.testing.assert_array_equal(found["w_bf16"], WEIGHTS["w"].astype(ml_dtypes.bfloat16))
    assert float(found["mask_bf16"][2]) == float(ml_dtypes.finfo(ml_dtypes.bfloat16).min)


def test_an_operator_without_a_bfloat16_form_in_the_opset_stays_between_casts(tmp_path):
    graph = "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { r = Relu(x) c = Conv<kernel_shape=[1,1]>(r, w) y = Tanh(c) }"
    weights = {"w": np.ones((2, 2, 1, 1), np.float32)}
    old = convert(write_onnx(tmp_path / "old.onnx", HEADER + graph, weights), tmp_path / "a.onnx")
    assert operators(old.path) == ["Cast", "Relu", "Cast", "Conv", "Cast", "Tanh", "Cast"]
    assert "in float32 stay: 1 Conv" in old.notes
    assert "opset 22 has further bfloat16 forms: export-pytorch --opset 22" in old.notes
    header = HEADER.replace("20", "22")
    new = convert(write_onnx(tmp_path / "new.onnx", header + graph, weights), tmp_path / "b.onnx")
    assert operators(new.path) == ["Cast", "Relu", "Conv", "Tanh", "Cast"]


def test_a_blocked_operator_stays(network, tmp_path):
    conversion = convert(network, tmp_path / "bf16.onnx", block=("Softmax", "Nothing"))
    assert operators(conversion.path)[-3:-1] == ["Cast", "Softmax"]
    assert conversion.notes[1:] == ("in float32 stay: 1 Softmax", "block Nothing: the model has no such operator")


def test_nested_graphs_read_the_float32_form_of_outer_values(tmp_path):
    graph = """
    g (float[2] x, bool c) => (float[2] y) {
      a = Relu(x)
      y = If (c) <
        then_branch = one () => (float[2] p) { p = Neg(a) },
        else_branch = two () => (float[2] q) { q = Add(a, w) }
      >
    }"""
    path = write_onnx(tmp_path / "if.onnx", HEADER + graph, {"w": np.ones(2, np.float32)})
    conversion = convert(path, tmp_path / "bf16.onnx")
    sample = {"x": np.array([1.5, -2], np.float32), "c": np.array(False)}
    (y,) = ReferenceEvaluator(str(conversion.path)).run(None, sample)
    np.testing.assert_array_equal(y, [2.5, 1])
    assert {tensor.name for tensor in onnx.load(conversion.path).graph.initializer} == {"w"}


def test_sparse_weights_are_cast_where_they_are_used(tmp_path):
    model = onnx.parser.parse_model(HEADER + "g (float[2,3] x) => (float[2,3] y) { y = Add(x, w) }")
    values = onnx.helper.make_tensor("w", TensorProto.FLOAT, [2], [1.0, 2.0])
    places = onnx.helper.make_tensor("places", TensorProto.INT64, [2], [1, 4])
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, places, [2, 3]))
    onnx.save(model, tmp_path / "sparse.onnx")
    conversion = convert(tmp_path / "sparse.onnx", tmp_path / "bf16.onnx")
    assert operators(conversion.path) == ["Cast", "Cast", "Add", "Cast"]
    onnx.checker.check_model(str(conversion.path))


def test_a_file_without_such_operators_is_refused(tmp_path):
    path = write_onnx(tmp_path / "ids.onnx", HEADER + "g (int64[2] x) => (int64[2] y) { y = Add(x, x) }", {})
    with pytest.raises(ConversionError, match="no operator with a bfloat16 form in opset 20"):
        convert(path, tmp_path / "bf16.onnx")
