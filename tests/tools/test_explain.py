"""The tool explain: planted causes of slowness are in its first line."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import onnx
import pytest
from model_builds import Net, export, loaded, samples_of, source, state_of

from turnkey.errors import UsageError
from turnkey.host import fair_threads
from turnkey.measure.checkup import watch_host
from turnkey.pipeline.state import Variant
from turnkey.tools.explain import Explain, read_candidate

HEADER = '<ir_version: 9, opset_import: ["": 18]>\n'
PLAIN = HEADER + "g (float[64,4096] x) => (float[64,4096] y) { y = Relu(x) }"


def chain(steps):
    """A file that applies steps to a large tensor one after another, and then Relu."""
    lines, value = [], "x"
    for index, step in enumerate(steps):
        lines.append(f"v{index} = {step.format(value)}")
        value = f"v{index}"
    return HEADER + "g (float[64,4096] x) => (float[64,4096] y) {" + "\n".join(lines) + f"\ny = Relu({value}) }}"


CASTS = chain(["Cast<to = 10>({0})", "Cast<to = 1>({0})", "Abs({0})"] * 12)
TRANSPOSES = chain(["Transpose<perm = [1, 0]>({0})", "Exp({0})"] * 12)
X = ({"x": np.full((64, 4096), 0.1, np.float32)},)


def build(tmp_path, text):
    """A loaded build whose variant ``slow`` is another file."""
    state = loaded(tmp_path, PLAIN, X)
    path = state.build_dir / "onnx" / "slow.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    return state.with_variant(Variant(key="slow", format="onnx", path="onnx/slow.onnx", sha256=""))


def first_line(state, slow, fast="onnx@onnxruntime,threads::1"):
    return Explain().run(state, slow=slow, fast=fast).listing.splitlines()[0]


def test_planted_casts_are_in_the_first_line(tmp_path):
    line = first_line(build(tmp_path, CASTS), "slow@onnxruntime,threads::1,graph_optimization_level::none")
    assert "times slower than onnx@onnxruntime" in line
    assert ": casts: " in line
    assert "of them take" in line


def test_planted_transpositions_are_in_the_first_line(tmp_path):
    text = TRANSPOSES.replace("Exp", "Abs")
    line = first_line(build(tmp_path, text), "slow@onnxruntime,threads::1,graph_optimization_level::none")
    assert "transposes: 12 of them take" in line


def test_a_provider_that_is_not_there_is_in_the_first_line(tmp_path):
    slow = "slow@onnxruntime,threads::1,graph_optimization_level::none,provider::CUDA"
    line = first_line(build(tmp_path, CASTS), slow)
    assert "provider fall-back: CUDAExecutionProvider is not available here" in line


@pytest.mark.nightly
def test_one_thread_is_in_the_first_line_on_a_machine_with_two_idle_cores(tmp_path):
    if fair_threads() < 2 or (watch_host().others or 0.0) > 0.1:
        pytest.skip("other programs use the processor: two idle cores are needed")
    text = HEADER + "g (float[1024,1024] x) => (float[1024,1024] y) { a = MatMul(x, x)  y = MatMul(a, x) }"
    inputs = ({"x": np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)},)
    state = loaded(tmp_path, text, inputs)
    line = first_line(state, "onnx@onnxruntime,threads::1", "onnx@onnxruntime,threads::2")
    assert "one thread: it was given 1, the other 2" in line


def test_operators_are_told_by_the_modules_of_the_model_and_each_finding_has_a_remedy(tmp_path):
    state = export(state_of(tmp_path, source(Net(), samples_of((64, 256, 8)))))
    listing = Explain().run(state, slow="torch,threads::1", fast="onnx@onnxruntime,threads::1").listing
    assert "blocks.0" in listing or "blocks.1" in listing
    assert "aten::" in listing
    findings = re.findall(r"^  \d+\. ", listing, re.MULTILINE)
    assert listing.count("     do: ") == len(findings)


def test_without_candidates_it_compares_those_of_the_last_benchmark(tmp_path):
    state = build(tmp_path, CASTS)
    with pytest.raises(UsageError, match="two candidates"):
        Explain().run(state)
    measured = (
        {"key": "onnx @ onnxruntime", "latency_ms": 1.0, "threads": 1, "device_type": "cpu"},
        {"key": "slow @ onnxruntime", "latency_ms": 9.0, "threads": 1, "device_type": "cpu"},
    )
    state = replace(state, measurements=measured)
    for recommended in (None, "onnx @ onnxruntime", "slow @ onnxruntime"):  # the last, if only it is verified
        listing = Explain().run(replace(state, chosen=recommended)).listing
        assert listing.startswith("slow @ onnxruntime,threads::1 is ")


@pytest.mark.parametrize("text", ["onnx@", "onnx@ort,threads::none", "onnx@ort,a::[b", ""])
def test_a_candidate_that_is_not_written_so_is_refused(text):
    with pytest.raises(ValueError):
        read_candidate(text)


def test_a_candidate_names_variant_runtime_threads_device_and_options():
    found = read_candidate("onnx-opt @ ort, threads::2, provider::CPU, device::cpu")
    assert (found.variant, found.runtime, found.threads, found.device) == ("onnx-opt", "ort", 2, "cpu")
    assert found.options == {"provider": "CPU"}
    assert read_candidate("torch").variant == ""
