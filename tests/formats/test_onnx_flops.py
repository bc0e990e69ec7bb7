"""Operations counted from shapes, against counts made by hand and by torch."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
from sources import write_onnx
from torch.utils.flop_counter import FlopCounterMode

from turnkey.formats.onnx_flops import count_flops
from turnkey.formats.onnx_statistics import onnx_statistics

HEADER = '<ir_version: 9, opset_import: ["": 20]>'


def flops(tmp_path, text, weights=None, *, shapes=None, external=False):
    path = write_onnx(tmp_path / "m.onnx", HEADER + text, weights, external=external)
    return count_flops(path, shapes=shapes or {})


def ones(*shape):
    return np.ones(shape, np.float32)


@pytest.mark.parametrize(
    ("text", "weights", "expected"),
    [
        ("g (float[5,7,4] x) => (float[5,7,3] y) {y = MatMul(x, w)}", {"w": ones(4, 3)}, 2 * 5 * 7 * 4 * 3),
        ("g (float[4] x) => (float[3] y) {y = MatMul(x, w)}", {"w": ones(4, 3)}, 2 * 4 * 3),
        ("g (float[4,5] x) => (float[5,3] y) {y = Gemm<transA=1>(x, w, b)}",
         {"w": ones(4, 3), "b": ones(3)}, 2 * 60 + 15),
        ("g (float[1,4,9,9] x) => (float[1,6,7,7] y) {y = Conv<group=2>(x, w, b)}",
         {"w": ones(6, 2, 3, 3), "b": ones(6)}, 2 * 6 * 49 * 2 * 9 + 6 * 49),
        ("g (float[1,4,5,5] x) => (float[1,6,7,7] y) {y = ConvTranspose(x, w)}",
         {"w": ones(4, 6, 3, 3)}, 2 * 100 * 6 * 9),
        ("g (float[1,2,8,8] x) => (float[1,2,4,4] y) {y = MaxPool<kernel_shape=[2,2], strides=[2,2]>(x)}", {}, 32 * 4),
        ("g (float[3,8] x) => (float[3,8] y) {s = Softmax(x) y = Relu(s)}", {}, 5 * 24 + 24),
        ("g (float[2,8] x) => (float[2,1] y) {y = ReduceMean<keepdims=1>(x, a)}", {"a": np.array([1])}, 16),
        ("g (float[2,8] x) => (float[8,2] y) {y = Transpose(x)}", {}, 0),
        ("g (int64[2,8] x) => (int64[2,8] y) {y = Add(x, x)}", {}, 0),
        ('g (float[2,3] x, float[3,4] z) => (float[2,4] y) {y = Einsum<equation="ij,jk->ik">(x, z)}', {}, 2 * 24),
    ],
)  # fmt: skip
def test_each_rule(tmp_path, text, weights, expected):
    assert flops(tmp_path, text, weights) == expected


def test_local_functions_are_looked_into_in_a_process_that_has_imported_nothing_else(tmp_path):
    text = """<ir_version: 10, opset_import: ["": 20, "local": 1]>
    g (float[2,3] x) => (float[2,3] y) {y = local.twice(x)}
    <domain: "local", opset_import: ["": 20]> twice (a) => (b) {c = Relu(a) b = Neg(c)}"""
    onnx.save(onnx.parser.parse_model(text), tmp_path / "m.onnx")
    code = "import sys; from pathlib import Path; from turnkey.formats.onnx_flops import count_flops;"
    code += "print(count_flops(Path(sys.argv[1]), shapes={}))"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "m.onnx"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "12\n"


def test_a_symbolic_batch_counts_as_large_as_the_sample(tmp_path):
    text = "g (float[n,4] x) => (float[n,3] y) {y = MatMul(x, w)}"
    assert flops(tmp_path, text, {"w": ones(4, 3)}, shapes={"x": (10, 4)}) == 240
    assert flops(tmp_path, text, {"w": ones(4, 3)}) is None


def test_a_reshape_target_in_external_data_is_read(tmp_path):
    text = "g (float[n,8] x) => (float[a,b] y) {r = Reshape(x, s) y = MatMul(r, w)}"
    weights = {"s": np.array([-1, 4]), "w": ones(4, 300)}
    assert flops(tmp_path, text, weights, shapes={"x": (3, 8)}, external=True) == 2 * 6 * 4 * 300


def test_what_cannot_be_counted_is_none_and_never_half_a_count(tmp_path):
    loop = """g (float[2] x, int64 n, bool c) => (float[2] y) {
      y = Loop (n, c, x) <body = b (int64 i, bool k, float[2] a) => (bool k2, float[2] s) {
        k2 = Identity(k)  s = Add(a, a)
      }>
    }"""
    assert flops(tmp_path, loop) is None


def test_the_larger_branch_of_an_if_counts(tmp_path):
    text = """g (float[2] x, bool c) => (float[2] y) {
      y = If (c) <then_branch = t () => (float[2] u) {r = Relu(x) u = Neg(r)},
                  else_branch = e () => (float[2] v) {v = Neg(x)}>
    }"""
    assert flops(tmp_path, text) == 4


def test_matrix_products_and_convolutions_agree_with_torchs_own_counter(tmp_path):
    network = torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),
        torch.nn.Flatten(),
        torch.nn.Linear(8 * 64, 5, bias=False),
    )
    with FlopCounterMode(display=False) as counter:
        network(torch.ones(2, 3, 16, 16))
    text = """g (float[n,3,16,16] x) => (float[n,5] y) {
      c = Conv<strides=[2,2], pads=[1,1,1,1]>(x, w) f = Flatten(c) y = Gemm<transB=1>(f, v)
    }"""
    counted = flops(tmp_path, text, {"w": ones(8, 3, 3, 3), "v": ones(5, 512)}, shapes={"x": (2, 3, 16, 16)})
    assert counted == counter.get_total_flops()


def test_the_statistics_of_a_file(tmp_path):
    text = "g (float[n,4] x) => (float[n,3] y) {p = MatMul(x, w) q = Relu(p) y = Relu(q)}"
    path = write_onnx(tmp_path / "m.onnx", HEADER + text, {"w": ones(4, 3)})
    found = onnx_statistics(path, shapes={"x": (1, 4)})
    assert found["onnx_ops_counter"] == {"MatMul": 1, "Relu": 2}
    assert found["onnx_model_information"]["opset"] == 20
    assert found["onnx_model_information"]["ir_version"] == 9
    assert found["onnx_model_information"]["size_kib"] == round(path.stat().st_size / 1024, 1)
    assert found["onnx_input_dimensions"] == {"x": ["n", 4]}
    assert found["onnx_total_flops"] == 24 + 6
