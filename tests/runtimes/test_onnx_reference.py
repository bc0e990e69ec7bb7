"""The reference evaluator of the onnx package as a runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from turnkey.errors import ConversionError, UsageError
from turnkey.runtimes import LoadRequest, find_runtime

GELU = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3] x) => (float[N,3] y) { y = Gelu (x) }
"""


def load(path, text=GELU, **options):
    onnx.save(onnx.parser.parse_model(text), path)
    return find_runtime("onnx-reference").load(LoadRequest(path=path, threads=1, options=options))


def test_it_agrees_with_onnx_runtime_and_says_that_its_speed_means_nothing(tmp_path):
    sample = {"x": np.linspace(-2, 2, 6).reshape(2, 3)}
    mine = load(tmp_path / "m.onnx")
    other = find_runtime("onnxruntime").load(LoadRequest(path=tmp_path / "m.onnx", threads=1))
    outputs = mine.outputs(mine.run(mine.prepare(sample)))
    assert outputs["y"].dtype == np.float32
    np.testing.assert_allclose(outputs["y"], other.outputs(other.run(other.prepare(sample)))["y"], atol=1e-5)
    assert any("says nothing" in note for note in mine.describe()["notes"])
    mine.close()
    other.close()


def test_an_operator_that_it_does_not_know_is_a_conversion_error(tmp_path):
    text = """<ir_version: 10, opset_import: ["" : 20, "com.microsoft" : 1]>
    g (float[2] x) => (float[2] y) { y = com.microsoft.FastGelu (x) }"""
    with pytest.raises(ConversionError, match=r"m\.onnx"):
        load(tmp_path / "m.onnx", text)


def test_options_are_refused(tmp_path):
    with pytest.raises(UsageError, match="threads"):
        load(tmp_path / "m.onnx", threads="2")
