"""Kernels of ours where the generator's are inexact: Fourier transforms, and softmax over float16."""

from __future__ import annotations

from pathlib import Path

import models
import numpy as np
import onnx
import pytest

import turnkey.mlf as mlf
from turnkey.mlf.failures import MlfUsageError

pytestmark = pytest.mark.needs("emx_onnx_cgen")


FLOAT, DOUBLE = onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE


def built(model: onnx.ModelProto, path: Path) -> mlf.Module:
    mlf.export(model, path, name="m", compile=False, optimize="none")
    return mlf.load(path).module()


def transform(length: int, *, inverse: int, kind: int, axis: int | None) -> onnx.ModelProto:
    """A model of one DFT; ``axis`` None makes it an input of the model."""
    shape = [3, length, 2, 2]
    inputs = [onnx.helper.make_tensor_value_info("x", kind, shape)]
    weights = []
    if axis is None:
        inputs.append(onnx.helper.make_tensor_value_info("axis", onnx.TensorProto.INT64, []))
    else:
        weights.append(onnx.numpy_helper.from_array(np.array(axis), "axis"))
    node = onnx.helper.make_node("DFT", ["x", "", "axis"], ["y"], inverse=inverse)
    output = onnx.helper.make_tensor_value_info("y", kind, shape)
    graph = onnx.helper.make_graph([node], "m", inputs, [output], weights)
    return onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(
    ("length", "inverse", "kind", "axis"),
    [(10, 1, FLOAT, 1), (60, 0, DOUBLE, -3), (45, 1, DOUBLE, 1), (6, 0, FLOAT, None)],
)
def test_transforms_equal_numpys(tmp_path: Path, length: int, inverse: int, kind: int, axis: int | None) -> None:
    module = built(transform(length, inverse=inverse, kind=kind, axis=axis), tmp_path / "m.tar")
    assert "tvmgen_m_fused_dft" in {entry["function_name"] for entry in module.metadata.turnkey["kernels"]}
    dtype = np.float32 if kind == FLOAT else np.float64
    values = np.random.default_rng(0).standard_normal((3, length, 2, 2)).astype(dtype)
    complex_values = values[..., 0].astype(np.complex128) + 1j * values[..., 1]
    for number in (0, 1, 2, -2, -4) if axis is None else (axis,):
        place = number if number >= 0 else number + 4
        expected = (np.fft.ifft if inverse else np.fft.fft)(complex_values, axis=place)
        sample = {"x": values, **({"axis": np.array(number)} if axis is None else {})}
        found = module.run(sample)["y"]
        tolerance = 1e-5 if kind == FLOAT else 1e-13
        np.testing.assert_allclose(found[..., 0], expected.real, rtol=0, atol=tolerance * abs(expected).max())
        np.testing.assert_allclose(found[..., 1], expected.imag, rtol=0, atol=tolerance * abs(expected).max())


def test_an_axis_out_of_range_is_an_error_of_the_call(tmp_path: Path) -> None:
    module = built(transform(6, inverse=0, kind=FLOAT, axis=None), tmp_path / "m.tar")
    with pytest.raises(MlfUsageError, match="returned an error"):
        module.run({"x": np.zeros((3, 6, 2, 2), np.float32), "axis": np.array(3)})


def test_kernels_with_scratch_run_in_the_graph_executor_too(tmp_path: Path) -> None:
    module = built(transform(10, inverse=1, kind=FLOAT, axis=1), tmp_path / "m.tar")
    sample = {"x": np.random.default_rng(0).standard_normal((3, 10, 2, 2)).astype(np.float32)}
    assert module.debug(sample)["y"].tobytes() == module.run(sample)["y"].tobytes()
    assert module.plan["workspace"] >= 4 * 4 * 10  # two lines of complex numbers


def test_softmax_over_float16_sums_in_float32(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> m (float16[4,2000] x) => (float16[4,2000] y) { y = Softmax(x) }'
    )
    module = built(model, tmp_path / "m.tar")
    values = np.random.default_rng(0).standard_normal((4, 2000)).astype(np.float16)
    exact = np.exp(values.astype(np.float64))
    exact /= exact.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(module.run({"x": values})["y"], exact, rtol=4e-3, atol=1e-6)
    assert models.outputs_of(model, {"x": values})["y"].shape == (4, 2000)
