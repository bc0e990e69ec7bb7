"""ONNX Runtime behind the runtime interface, on files made from text."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import pytest

from turnkey.errors import ConversionError, InputError, UsageError
from turnkey.runtimes import LoadRequest, find_runtime

TWO_OUTPUTS = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3] x.a, int64[N] k) => (float[N,3] y, int64[N] total) {
    y = Relu (x.a)
    total = Add (k, k)
}
"""


@pytest.fixture
def load(tmp_path):
    runners = []

    def make(text: str = TWO_OUTPUTS, **options):
        path = tmp_path / "model.onnx"
        onnx.save(onnx.parser.parse_model(text.replace("x.a", "x_a")), path)
        runner = find_runtime("onnxruntime").load(LoadRequest(path=path, threads=1, options=options))
        runners.append(runner)
        return runner

    yield make
    for runner in runners:
        runner.close()


def test_outputs_come_back_by_name_and_inputs_are_bound_by_name_whatever_their_order(load):
    runner = load()
    feed = runner.prepare({"k": np.array([2]), "x_a": np.array([[-1, 0, 1]], np.float32)})
    outputs = runner.outputs(runner.run(feed))
    assert list(outputs) == ["y", "total"]
    np.testing.assert_array_equal(outputs["y"], [[0, 0, 1]])
    np.testing.assert_array_equal(outputs["total"], [4])


def test_samples_are_cast_to_the_dtypes_that_the_file_takes_and_the_facts_say_so(load):
    runner = load()
    feed = runner.prepare({"x_a": np.ones((1, 3)), "k": np.array([1], np.int32), "unused": np.ones(1)})
    assert runner.outputs(runner.run(feed))["y"].dtype == np.float32
    assert "x_a: float64 given as float32" in runner.describe()["notes"]


def test_a_missing_input_is_named_with_what_the_sample_has(load):
    with pytest.raises(InputError, match="x_a"):
        load().prepare({"k": np.array([1]), "other": np.ones(1)})


def test_bfloat16_inputs_and_outputs_pass_bit_for_bit(load):
    runner = load("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (bfloat16[N] x) => (bfloat16[N] y, float[N] f) { y = Identity (x)
            f = Cast <to = 1> (x) }
    """)
    x = np.array([1.5, -3.25, 65504], ml_dtypes.bfloat16)
    outputs = runner.outputs(runner.run(runner.prepare({"x": x})))
    assert outputs["y"].dtype == x.dtype
    np.testing.assert_array_equal(outputs["y"].view(np.uint16), x.view(np.uint16))
    np.testing.assert_array_equal(outputs["f"], x.astype(np.float32))


def test_scalars_and_empty_arrays_keep_their_shapes(load):
    runner = load("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (float x, float[N] e) => (float y, float[N] z) { y = Neg (x)
            z = Neg (e) }
    """)
    outputs = runner.outputs(runner.run(runner.prepare({"x": np.float32(2), "e": np.zeros(0, np.float32)})))
    assert outputs["y"].shape == ()
    assert outputs["z"].shape == (0,)


def test_the_session_gets_the_threads_and_options_that_were_asked_for(load):
    runner = load(graph_optimization_level="basic", **{"session.intra_op.allow_spinning": "0"})
    settings = runner._session.get_session_options()
    assert settings.intra_op_num_threads == 1
    assert settings.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert settings.graph_optimization_level.name == "ORT_ENABLE_BASIC"


@pytest.mark.parametrize(
    "options",
    [{"graph_optimisation": "all"}, {"graph_optimization_level": "extreme"}, {"inter_op_num_threads": "many"}],
)
def test_an_unknown_option_or_value_is_refused_with_the_known_ones(load, options):
    with pytest.raises(UsageError, match=next(iter(options))) as caught:
        load(**options)
    assert caught.value.evidence


def test_a_provider_that_is_not_there_is_reported_as_a_fall_back(load):
    facts = load(provider="CUDA").describe()
    assert "CUDAExecutionProvider is not available" in facts["fallback"]
    assert load().describe()["fallback"] is None


def test_a_corrupt_file_is_a_conversion_error_with_the_runtimes_own_words(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not onnx at all")
    with pytest.raises(ConversionError, match=r"bad\.onnx") as caught:
        find_runtime("ort").load(LoadRequest(path=tmp_path / "bad.onnx", threads=1))
    assert "protobuf" in caught.value.evidence.lower()
