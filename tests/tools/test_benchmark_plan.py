"""What a dry run says about a benchmark."""

from __future__ import annotations

import pytest

from turnkey import host
from turnkey.tools.benchmark import Benchmark


@pytest.fixture(autouse=True)
def _two_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnkey.tools.benchmark_plan.fair_threads", lambda: 2)
    monkeypatch.setattr(host, "fair_threads", lambda: 2)
    monkeypatch.setattr(host, "affinity_cpus", lambda: (0, 1))


def test_it_names_candidates_threads_effort_rounds_starts_and_time() -> None:
    said = Benchmark.plan({}, runtimes=("torch", "onnxruntime"))
    assert said.startswith("2 candidates (torch, onnxruntime), 2 threads, effort standard: 5 to 11 rounds, 17 to 35 ")
    assert "5 ms per call (supposed)" in said


def test_the_last_latency_stands_for_all_candidates() -> None:
    said = Benchmark.plan({"median_latency_ms": 500.0}, runtime="onnxruntime", effort="quick")
    assert "1 candidate (onnxruntime)" in said
    assert "500 ms per call (as measured last)" in said


def test_compared_thread_counts_and_variants_multiply_the_candidates() -> None:
    said = Benchmark.plan({}, runtimes=("torch", "onnxruntime"), variants=("onnx", "onnx-opt"), threads="auto")
    assert said.startswith("6 candidates (torch, onnxruntime), 1 and 2 threads")


def test_a_load_shape_has_no_experiment_to_estimate() -> None:
    assert "load shape offline" in Benchmark.plan({}, runtime="onnxruntime", load="offline")
