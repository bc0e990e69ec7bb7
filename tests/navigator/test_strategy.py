"""Which runtime is best by a stated goal, and why the others are not."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from navigator_statuses import model, rung, runner, status

import turnkey.navigator as nav
from turnkey.navigator.exceptions import ConfigurationError, RuntimeAnalyzerError
from turnkey.navigator.format import Format
from turnkey.navigator.status import CommandStatus
from turnkey.navigator.strategy import (
    DEFAULT_STRATEGIES,
    RuntimeSearchStrategy,
    best_runtime,
    candidates_of,
    strategies_of,
)

TORCH = model(Format.TORCH, runner("TorchCPU", rung(4.0), rung(6.0, 2)))
FAST = model(Format.ONNX, runner("OnnxCPU", rung(1.0), rung(1.9, 2), atol=1e-3), size=100)
WIDE = model(Format.TORCHSCRIPT, runner("TorchScriptCPU", rung(2.0), rung(2.0, 8)), size=50)


def chosen(strategy: RuntimeSearchStrategy, *models: object) -> str:
    found = best_runtime(candidates_of(status(*models)), [strategy])  # type: ignore[arg-type]
    return f"{found.model_key} @ {found.runner_name}, batch {found.batch_size}"


def test_the_documented_goals() -> None:
    assert chosen(nav.MinLatencyStrategy(), TORCH, FAST, WIDE) == "onnx @ OnnxCPU, batch 1"
    assert chosen(nav.MaxThroughputStrategy(), TORCH, FAST, WIDE) == "torchscript @ TorchScriptCPU, batch 8"
    assert chosen(nav.MaxThroughputAndMinLatencyStrategy(), TORCH, FAST) == "onnx @ OnnxCPU, batch 2"
    assert chosen(nav.MaxThroughputWithLatencyBudgetStrategy(1.5), TORCH, FAST, WIDE) == "onnx @ OnnxCPU, batch 1"
    assert chosen(nav.SelectedRuntimeStrategy("torch", "TorchCPU"), TORCH, FAST) == "torch @ TorchCPU, batch 2"


def test_goals_as_text() -> None:
    assert str(nav.MinLatencyStrategy()) == "MinLatencyStrategy"
    assert str(nav.MaxThroughputWithLatencyBudgetStrategy(5.0)) == "MaxThroughputWithLatencyBudgetStrategy(5.0[ms])"
    assert str(nav.SelectedRuntimeStrategy("onnx", "OnnxCPU")) == "SelectedRuntimeStrategy(onnx:OnnxCPU)"


def test_the_default_falls_back_to_the_smallest_latency_only_through_the_list() -> None:
    candidates = candidates_of(status(TORCH, FAST, WIDE))
    with pytest.raises(RuntimeAnalyzerError):
        best_runtime(candidates, [nav.MaxThroughputAndMinLatencyStrategy()])
    assert best_runtime(candidates, list(DEFAULT_STRATEGIES)).model_key == "onnx"


def test_nothing_that_matches_is_an_error_that_lists_each_candidate_with_the_reason_against_it() -> None:
    wrong = model(Format.ONNX, runner("OnnxCPU", Correctness=CommandStatus.FAIL, Performance=CommandStatus.SKIPPED))
    with pytest.raises(RuntimeAnalyzerError) as raised:
        best_runtime(candidates_of(status(TORCH, wrong)), [nav.MaxThroughputWithLatencyBudgetStrategy(0.1)])
    assert "onnx @ OnnxCPU: Correctness FAIL: because" in raised.value.evidence
    assert "torch @ TorchCPU: does not match" in raised.value.evidence


@pytest.mark.defect("ND14")
def test_a_runner_that_a_verify_function_refused_is_no_candidate() -> None:
    refused = model(Format.ONNX, runner("OnnxCPU", rung(1.0), VerifyModel=CommandStatus.FAIL))
    assert chosen(nav.MinLatencyStrategy(), TORCH, refused) == "torch @ TorchCPU, batch 1"


def test_accuracy_memory_and_size_bound_another_goal() -> None:
    assert chosen(nav.WithinAccuracyStrategy(atol=1e-4), TORCH, FAST, WIDE) == "torchscript @ TorchScriptCPU, batch 1"
    assert chosen(nav.WithinSizeStrategy(60), TORCH, FAST, WIDE) == "torchscript @ TorchScriptCPU, batch 1"
    slow = model(Format.ONNX, runner("OnnxCPU", rung(99.0)), size=5)
    assert chosen(nav.WithinSizeStrategy(60, then=nav.MinLatencyStrategy()), TORCH, slow) == "onnx @ OnnxCPU, batch 1"
    small = model(Format.OPENVINO, runner("OpenVINO", rung(9.0, peak_memory_bytes=10)))
    big = model(Format.ONNX, runner("OnnxCPU", rung(1.0, peak_memory_bytes=99)))
    assert chosen(nav.WithinMemoryStrategy(50), small, big) == "openvino @ OpenVINO, batch 1"
    goal = nav.ParetoStrategy(("size",), then=nav.MaxThroughputStrategy())
    found = best_runtime(candidates_of(status(FAST, WIDE)), [goal])
    assert (found.model_key, found.strategy) == ("torchscript", "ParetoStrategy(size, then=MaxThroughputStrategy)")


def test_the_pareto_front_leaves_out_what_another_beats_in_everything() -> None:
    worse = model(Format.OPENVINO, runner("OpenVINO", rung(3.0)), size=70)
    front = nav.ParetoStrategy(("latency", "size")).front(candidates_of(status(FAST, WIDE, worse)).entries)
    assert [each.key for each in front] == ["onnx @ OnnxCPU", "torchscript @ TorchScriptCPU"]
    with pytest.raises(ConfigurationError):
        nav.ParetoStrategy(("beauty",))


def test_any_function_of_the_candidates_is_a_goal() -> None:
    found = best_runtime(candidates_of(status(TORCH, FAST)), [lambda entries: entries[0]])
    assert found.model_key == "torch"


def test_a_candidate_of_unknown_accuracy_is_within_no_bound() -> None:
    unknown = model(Format.ONNX, replace(runner("OnnxCPU", rung(1.0)), tolerances=()))
    assert chosen(nav.WithinAccuracyStrategy(rtol=1.0), TORCH, unknown).startswith("torch @")


def test_a_tie_goes_to_the_smaller_memory_then_the_smaller_file_then_the_name_and_is_told() -> None:
    one = model(Format.ONNX, runner("OnnxCPU", rung(1.0, ties=("openvino @ OpenVINO",), peak_memory_bytes=9)), size=5)
    two = model(Format.OPENVINO, runner("OpenVINO", rung(1.1, ties=("onnx @ OnnxCPU",), peak_memory_bytes=4)), size=9)
    found = best_runtime(candidates_of(status(one, two)), [nav.MinLatencyStrategy()])
    assert found.model_key == "openvino"
    assert found.ties == ("onnx @ OnnxCPU",)
    mirrored = best_runtime(candidates_of(status(two, one)), [nav.MinLatencyStrategy()])
    assert (mirrored.model_key, mirrored.ties) == (found.model_key, found.ties)


def test_a_lossless_form_wins_a_tie_against_one_of_lower_precision_however_small() -> None:
    half = model(Format.TENSORRT, runner("TensorRT", rung(1.0, ties=("onnx @ OnnxCPU",))), size=1, key="trt-fp16")
    whole = model(Format.ONNX, runner("OnnxCPU", rung(1.01, ties=("trt-fp16 @ TensorRT",))), size=9)
    found = best_runtime(candidates_of(status(half, whole)), [nav.MinLatencyStrategy()])
    assert (found.model_key, found.ties) == ("onnx", ("trt-fp16 @ TensorRT",))


@given(first=st.floats(0.95, 1.05), second=st.floats(0.95, 1.05), memory=st.floats(0.99, 1.01))
def test_a_tie_has_the_same_winner_whichever_came_out_faster_in_this_run(
    first: float, second: float, memory: float
) -> None:
    one = model(
        Format.ONNX,
        runner("OnnxCPU", rung(first, ties=("openvino @ OpenVINO",), peak_memory_bytes=int(1e8))),
        size=5,
    )
    two = model(
        Format.OPENVINO,
        runner("OpenVINO", rung(second, ties=("onnx @ OnnxCPU",), peak_memory_bytes=int(1e8 * memory))),
        size=9,
    )
    for goal in (nav.MinLatencyStrategy(), nav.MaxThroughputStrategy(), nav.MaxThroughputAndMinLatencyStrategy()):
        found = best_runtime(candidates_of(status(one, two)), [goal])
        assert (found.model_key, found.ties) == ("onnx", ("openvino @ OpenVINO",))


def test_a_goal_settles_ties_in_its_own_order_and_says_it() -> None:
    one = model(Format.ONNX, runner("OnnxCPU", rung(1.0, ties=("openvino @ OpenVINO",), load_ms=9.0)), size=5)
    two = model(Format.OPENVINO, runner("OpenVINO", rung(1.1, ties=("onnx @ OnnxCPU",), load_ms=2.0)), size=9)
    by_load = nav.MinLatencyStrategy(tie_order=("load", "size"))
    assert str(by_load) == "MinLatencyStrategy(tie_order=load, size)"
    assert chosen(by_load, one, two) == "openvino @ OpenVINO, batch 1"
    assert chosen(nav.MinLatencyStrategy(), one, two) == "onnx @ OnnxCPU, batch 1"
    assert by_load != nav.MinLatencyStrategy() == nav.MinLatencyStrategy(tie_order=("memory", "size", "error", "load"))
    with pytest.raises(ConfigurationError, match="ties cannot be settled so"):
        nav.MaxThroughputWithLatencyBudgetStrategy(5.0, tie_order=("speed",))


def test_who_ties_in_latency_alone_is_told_by_the_goal_that_wants_both() -> None:
    fast = model(Format.ONNX, runner("OnnxCPU", rung(1.0, ties=("openvino @ OpenVINO",)), rung(9.0, 2)))
    both = model(Format.OPENVINO, runner("OpenVINO", rung(1.0, ties=("onnx @ OnnxCPU",)), rung(1.2, 2)))
    found = best_runtime(candidates_of(status(fast, both)), [nav.MaxThroughputAndMinLatencyStrategy()])
    assert (found.model_key, found.ties) == ("openvino", ("onnx @ OnnxCPU",))


@pytest.mark.defect("ND9")
@given(latency=st.floats(0.01, 100))
def test_nan_never_wins(latency: float) -> None:
    broken = model(Format.ONNX, runner("OnnxCPU", rung(math.nan)))
    sound = model(Format.TORCH, runner("TorchCPU", rung(latency)))
    for goal in (nav.MinLatencyStrategy(), nav.MaxThroughputStrategy()):
        assert chosen(goal, broken, sound).startswith("torch @")


def test_the_source_can_be_left_out() -> None:
    found = candidates_of(status(TORCH), include_source=False)
    assert found.entries == ()
    assert "left out" in found.excluded["torch @ TorchCPU"]


def test_a_summary_shows_what_speaks_against_a_figure_and_why_others_are_excluded(tmp_path) -> None:
    noisy = model(Format.ONNX, runner("OnnxCPU", rung(1.0, validity="INVALID", reasons=("foreign-load: 78 %",))))
    refused = model(Format.TORCH, runner("TorchCPU", rung(4.0), Performance=CommandStatus.FAIL))
    text = nav.Package(status(noisy, refused), tmp_path).summary()
    assert "INVALID: foreign-load: 78 %" in text
    assert "torch @ TorchCPU: excluded: Performance FAIL: because" in text


def test_a_summary_marks_the_one_that_is_taken_where_no_goal_is_named(tmp_path) -> None:
    lines = nav.Package(status(TORCH, FAST, WIDE), tmp_path).summary().splitlines()
    assert [line.split(":")[0] for line in lines if line.endswith("  best")] == ["onnx @ OnnxCPU"]
    nothing = nav.Package(status(), tmp_path).summary()
    assert "best" not in nothing


def test_one_strategy_and_several_contradict_each_other() -> None:
    with pytest.raises(ConfigurationError):
        strategies_of(nav.MinLatencyStrategy(), [nav.MinLatencyStrategy()])
    for wrong in (math.nan, 0, "5"):
        with pytest.raises(ConfigurationError, match="finite and positive"):
            nav.MaxThroughputWithLatencyBudgetStrategy(wrong)  # type: ignore[arg-type]
    for wrong in (math.nan, -1, "x"):
        with pytest.raises(ConfigurationError, match="finite and not negative"):
            nav.WithinAccuracyStrategy(atol=wrong)  # type: ignore[arg-type]
    assert nav.WithinAccuracyStrategy(atol=0).atol == 0
    with pytest.raises(ConfigurationError, match="a strategy is a goal"):
        strategies_of(5, None)  # type: ignore[arg-type]
