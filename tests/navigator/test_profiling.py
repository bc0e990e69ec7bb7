"""The documented results of profiling, from all calls of the last windows pooled."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from source_models import CALL_OF_X, samples_of_x

import turnkey.navigator as nav
from turnkey.measure import Record
from turnkey.measure.windows import stability
from turnkey.navigator.exceptions import ProfilingError, UnstableMeasurementError
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.rung import pooled_numbers
from turnkey.runtimes.target import ModelTarget

MS = 1e6


@pytest.mark.defect("ND1")
def test_the_specifications_example_is_pooled_and_not_averaged_over_windows() -> None:
    window = [1 * MS] * 49 + [51 * MS]
    found = pooled_numbers(window * 3, batch=1)
    assert found["avg_latency"] == pytest.approx(2.0)
    assert found["std_latency"] == pytest.approx(7.0)
    assert found["p95_latency"] == pytest.approx(1.0)
    assert found["p99_latency"] == pytest.approx(51.0), "averaged windows would say 26.5"
    assert found["throughput"] == pytest.approx(500.0)
    assert found["request_count"] == 150


@pytest.mark.defect("ND2")
def test_a_spike_in_every_window_shows_in_the_deviation() -> None:
    found = pooled_numbers(([1 * MS] * 24 + [26 * MS]) * 3, batch=1)
    assert found["std_latency"] == pytest.approx(4.899, rel=1e-3), "the deviation of window deviations is 0"


@given(st.lists(st.floats(1e3, 1e9), min_size=1, max_size=200), st.none() | st.integers(1, 64))
def test_percentiles_are_monotone_and_throughput_follows_the_mean(times: list[float], batch: int | None) -> None:
    found = pooled_numbers(times, batch=batch)
    percentiles = [found[f"p{q}_latency"] for q in (50, 90, 95, 99)]
    assert percentiles == sorted(percentiles)
    assert found["throughput"] == pytest.approx(1000 * max(1, batch or 1) / found["avg_latency"])


def test_only_the_last_windows_that_agreed_count() -> None:
    rule = ProfilePlan(config=nav.ProfilerConfig(measurement_request_count=2)).windows()
    found = stability(np.array([9, 9, 1, 1, 1, 1, 1, 1]) * MS, rule)
    assert found.stable_at == 4
    assert found.ends[found.stable_at - 1 - found.window_count] == 2, "the first window is left out"


def test_fewer_than_three_trials_test_as_many_windows() -> None:
    rule = ProfilePlan(config=nav.ProfilerConfig(max_trials=2, measurement_request_count=1)).windows()
    assert stability(np.array([1.0, 1.0]) * MS, rule).window_count == 2


def test_the_ladder_is_ascending_without_duplicates_whatever_was_given() -> None:
    from turnkey.measure.ladder import sizes

    rule = ProfilePlan(config=nav.ProfilerConfig(batch_sizes=[8, 1, 4, 1])).rule(batched=True)
    assert list(sizes(rule)) == [1, 4, 8]
    later = nav.OptimizationProfile(max_batch_size=100)
    rule = ProfilePlan(config=later.profiler_config(), later=later).rule(batched=True)
    assert list(sizes(rule)) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert rule.throughput_backoff_limit == 2
    as_given = ProfilePlan(config=nav.ProfilerConfig(batch_sizes=[None]))
    assert list(sizes(as_given.rule(batched=True))) == [1]


@pytest.mark.defect("ND4")
def test_an_unstable_rung_is_repeated_twice_with_longer_windows_before_it_is_an_error() -> None:
    assert ProfilePlan().rule(batched=True).unstable_repeats == 2
    assert ProfilePlan().rule(batched=True).on_unstable == "stop"
    assert ProfilePlan(on_unstable="flag").rule(batched=True).on_unstable == "flag"


def test_what_never_became_stable_carries_its_finished_rungs_and_windows() -> None:
    error = UnstableMeasurementError("no", rungs=[{"batch_size": 1}], means_ms=[1.0, 2.0])
    assert isinstance(error, ProfilingError)
    assert isinstance(error, RuntimeError)
    assert error.rungs == ({"batch_size": 1},)
    assert error.means_ms == (1.0, 2.0)
    assert error.message == "no"
    assert error.log_path is None


@pytest.mark.defect("ND30")
def test_the_timed_call_is_the_runners_own_without_a_frame_of_ours() -> None:
    from turnkey.runtimes import LoadRequest, find_runtime

    request = LoadRequest(module=np.exp, structure=CALL_OF_X, threads=1)
    target = ModelTarget(find_runtime("python"), request=lambda: request, samples=lambda: samples_of_x(np.ones(2)))
    target.load()
    assert target.run.__self__ is target._runner  # type: ignore[attr-defined]
    target.close()


@pytest.mark.defect("ND3")
def test_cold_calls_are_kept_apart_from_the_measured_windows(package: nav.Package) -> None:
    [rung] = package.status.models["onnx"].runners_status["OnnxCPU"].rungs
    record = Record.load(package.workspace / rung.record)
    kinds = {item.kind for item in record.slices}
    assert "timed" in kinds
    assert rung.first_call_ms is not None
    assert rung.load_ms is not None
    assert rung.request_count % 5 == 0, "whole windows of timed calls"
    assert len(rung.means_ms) >= 3


@pytest.mark.defect("ND3")
def test_inputs_rotate_over_distinct_rows_at_every_batch_size(tmp_path: Path) -> None:
    from navigator_samples import samples

    from turnkey.navigator.format import Format
    from turnkey.navigator.preprocessing import prepare

    prepared = prepare(
        lambda x: x + 1,
        Format.PYTHON,
        samples(6),
        sample_count=2,
        batching=True,
        input_names=None,
        output_names=None,
        say=lambda text: None,
    )
    for batch in (1, 3, 64):
        found = prepared.at_batch(batch)
        assert {each["input__0"].shape for each in found.inputs} == {(batch, 4)}
        assert len({each["input__0"].tobytes() for each in found.inputs}) == len(found.inputs) == 8
        first = found.outputs[0]
        assert first is not None
        assert (first["output__0"] == found.inputs[0]["input__0"] + 1).all()


def test_a_smaller_batch_after_a_larger_one_is_measured_with_its_own_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ladder that begins again in this process, since the source cannot be rebuilt in another."""
    from contextlib import ExitStack
    from types import SimpleNamespace

    from navigator_samples import samples

    from turnkey.measure import Settings
    from turnkey.navigator import rung_targets
    from turnkey.navigator.contestant import Contestant
    from turnkey.navigator.format import Format
    from turnkey.navigator.preprocessing import prepare
    from turnkey.navigator.runner_table import runner_kind

    prepared = prepare(
        lambda x: x + 1,
        Format.PYTHON,
        samples(6),
        sample_count=2,
        batching=True,
        input_names=None,
        output_names=None,
        say=lambda text: None,
    )
    fed: list[int] = []

    def run(targets: dict[str, ModelTarget], **_: object) -> SimpleNamespace:
        fed.extend(target.samples()[0]["input__0"].shape[0] for target in targets.values())
        return SimpleNamespace()

    monkeypatch.setattr(rung_targets, "run_in_process", run)
    contestant = Contestant(model_key="python", kind=runner_kind("PythonRunner"), path=None)
    with ExitStack() as stack:
        rungs = rung_targets.RungTargets(prepared, [contestant], batched=True, stack=stack, say=print)
        for batch in (1, 4, 1):
            targets = rungs.targets(batch)
            rungs.measured_here(targets, reference=None, settings=Settings(threads=1), path=None, listen=None)
    assert fed == [1, 4, 1]
