"""OpenVINO behind the runtime interface, on ONNX files made from text and on its own files."""

from __future__ import annotations

import threading

import ml_dtypes
import numpy as np
import onnx
import pytest

from turnkey.errors import ConversionError, InputError, UsageError
from turnkey.runtimes import LoadRequest, find_runtime

pytestmark = pytest.mark.needs("openvino")

TWO_OUTPUTS = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[N,3] x, int64[N] k) => (float[N,3] y, int64[N] total) {
    y = Relu (x)
    total = Add (k, k)
}
"""
PRODUCT = """
<ir_version: 10, opset_import: ["" : 20]>
g (float[4,64] x, float[64,64] w) => (float[4,64] y) { y = MatMul (x, w) }
"""


@pytest.fixture
def load(tmp_path):
    runners = []

    def make(text: str = TWO_OUTPUTS, *, device="cpu", threads=1, **options):
        path = tmp_path / "model.onnx"
        onnx.save(onnx.parser.parse_model(text), path)
        request = LoadRequest(path=path, threads=threads, device=device, options=options)
        runner = find_runtime("openvino").load(request)
        runners.append(runner)
        return runner

    yield make
    for runner in runners:
        runner.close()


def product_inputs():
    generator = np.random.default_rng(0)
    return {name: generator.standard_normal(shape, np.float32) for name, shape in (("x", (4, 64)), ("w", (64, 64)))}


def test_outputs_come_back_by_name_and_an_earlier_result_is_not_overwritten(load):
    runner = load()
    first = runner.run(runner.prepare({"k": np.array([2]), "x": np.array([[-1, 0, 1]], np.float32)}))
    runner.run(runner.prepare({"k": np.array([5]), "x": np.array([[7, 7, 7]], np.float32)}))
    outputs = runner.outputs(first)
    assert list(outputs) == ["y", "total"]
    np.testing.assert_array_equal(outputs["y"], [[0, 0, 1]])
    np.testing.assert_array_equal(outputs["total"], [4])


def test_float32_is_computed_as_float32_unless_another_precision_is_asked_for(load):
    sample = product_inputs()
    exact = sample["x"].astype(np.float64) @ sample["w"].astype(np.float64)

    def error(**options):
        runner = load(PRODUCT, **options)
        made = runner.outputs(runner.run(runner.prepare(sample)))["y"]
        return np.linalg.norm(made - exact) / np.linalg.norm(exact), runner.describe()["precision"]

    assert error()[0] < 1e-6
    assert error()[1] == "f32"
    assert error(inference_precision="bf16")[1] == "bf16"


def test_samples_are_cast_to_the_dtypes_of_the_model_and_the_facts_say_so(load):
    runner = load()
    runner.prepare({"x": np.ones((1, 3)), "k": np.array([1], np.int32)})
    assert "x: float64 given as float32" in runner.describe()["notes"]


def test_a_missing_input_is_named(load):
    with pytest.raises(InputError, match="x"):
        load().prepare({"k": np.array([1])})


def test_bfloat16_at_the_border_becomes_float32(load):
    runner = load("""
        <ir_version: 10, opset_import: ["" : 20]>
        g (bfloat16[3] x) => (bfloat16[3] y) { y = Identity (x) }
    """)
    outputs = runner.outputs(runner.run(runner.prepare({"x": np.array([1.5, -3.25, 2], ml_dtypes.bfloat16)})))
    np.testing.assert_array_equal(outputs["y"].astype(np.float32), [1.5, -3.25, 2])


def test_with_the_hint_throughput_several_clients_call_at_once(load):
    runner = load(PRODUCT, threads=2, performance_hint="throughput")
    sample = product_inputs()
    prepared = runner.prepare(sample)
    results = []
    clients = [threading.Thread(target=lambda: results.append(runner.run(prepared))) for _ in range(4)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(runner.outputs(result)["y"], sample["x"] @ sample["w"], rtol=1e-4, atol=1e-4)


def test_the_facts_say_threads_and_streams_and_a_property_in_capitals_reaches_openvino(load):
    facts = load(ENABLE_CPU_PINNING="NO", num_streams="1").describe()
    assert facts["threads"] == 1
    assert facts["streams"] == 1
    assert facts["fallback"] is None
    assert facts["device"] == "cpu"


@pytest.mark.parametrize(
    "options", [{"perf_hint": "latency"}, {"performance_hint": "best"}, {"inference_precision": "f8"}]
)
def test_an_unknown_option_or_value_is_refused_with_the_known_ones(load, options):
    with pytest.raises(UsageError, match=r"perf_hint|performance_hint|inference_precision") as caught:
        load(**options)
    assert caught.value.evidence


def test_a_device_that_is_not_there_is_refused_with_those_that_are(load):
    with pytest.raises(UsageError, match="npu") as caught:
        load(device="npu")
    assert "CPU" in caught.value.evidence


def test_a_corrupt_file_is_a_conversion_error(tmp_path):
    (tmp_path / "bad.onnx").write_bytes(b"not onnx at all")
    with pytest.raises(ConversionError, match=r"bad\.onnx"):
        find_runtime("ov").load(LoadRequest(path=tmp_path / "bad.onnx", threads=1))


def test_operators_are_timed_where_that_is_asked_for(load):
    runner = load(PRODUCT, PERF_COUNT="YES")
    runner.run(runner.prepare(product_inputs()))
    times = runner.operator_times()
    assert {operator for _, operator, _ in times} >= {"MatMul"}
    assert sum(microseconds for _, _, microseconds in times) > 0
