"""Parts of ONNX files, cut out without their weights."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest
from sources import run_file, write_onnx

from turnkey.errors import InputError
from turnkey.formats.onnx_segment import cut, open_weightless, with_weights

TEXT = """
<ir_version: 9, opset_import: ["": 20]>
deep (float[N,40] x, bool flag) => (float[N,40] y) {
  a = MatMul(x, w)
  b = Relu(a)
  c = If(flag) <
    then_branch = yes () => (float[N,40] t) { t = MatMul(b, v) },
    else_branch = no () => (float[N,40] e) { e = Neg(a) }
  >
  y = Add(c, x)
}
"""


def weights():
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal((40, 40)).astype(np.float32) for name in ("w", "v")}


@pytest.mark.parametrize("external", [False, True])
def test_the_graph_is_read_without_its_weights_and_parts_compute_what_the_whole_does(tmp_path, external):
    path = write_onnx(tmp_path / "m.onnx", TEXT, weights(), external=external)
    whole = open_weightless(path, tmp_path / "scratch")
    assert whole.model.ByteSize() < 3000 < path.stat().st_size + external * 10**6
    assert whole.shapes["a"] == (None, 40)
    x = np.random.default_rng(1).standard_normal((3, 40)).astype(np.float32)
    sample = {"x": x, "flag": np.array(True)}
    b = np.maximum(x @ weights()["w"], 0)

    part = cut(whole, outputs=["y"], given={"b", "a"}, feeds={})
    assert {value.name for value in part.graph.input} == {"a", "b", "flag", "x"}
    assert [tensor.name for tensor in part.graph.initializer] == ["v"]
    alone = tmp_path / "alone" / "part.onnx"
    alone.parent.mkdir()
    onnx.save(with_weights(part, whole.directory), alone)
    session = onnxruntime.InferenceSession(str(alone))
    [made] = session.run(None, {**sample, "a": x @ weights()["w"], "b": b})
    np.testing.assert_allclose(made, run_file(path, sample)["y"], rtol=1e-4, atol=1e-4)


def test_what_nested_graphs_read_from_outside_belongs_to_the_part(tmp_path):
    whole = open_weightless(write_onnx(tmp_path / "m.onnx", TEXT, weights()), tmp_path / "scratch")
    part = cut(whole, outputs=["c"], given=set(), feeds={})
    assert [node.op_type for node in part.graph.node] == ["MatMul", "Relu", "If"]
    assert [tensor.name for tensor in part.graph.initializer] == ["v", "w"]


def test_a_value_that_nobody_makes_is_refused(tmp_path):
    whole = open_weightless(write_onnx(tmp_path / "m.onnx", TEXT, weights()), tmp_path / "scratch")
    with pytest.raises(KeyError):
        cut(whole, outputs=["nowhere"], given=set(), feeds={})


@pytest.mark.parametrize("content", [b"", b"not onnx at all", b"\x3a\xff\xff\xff\xff\x0f"])
def test_a_file_that_is_no_model_is_an_input_error(tmp_path, content):
    (tmp_path / "bad.onnx").write_bytes(content)
    with pytest.raises(InputError, match=r"bad\.onnx"):
        open_weightless(tmp_path / "bad.onnx", tmp_path / "scratch")
