"""``profile``: batch sizes on real onnxruntime workers."""

from __future__ import annotations

import pytest
from model_builds import EXPONENTIAL, CannotLeave, Net, exponential, samples_of, source, state_of

from turnkey.errors import ModelError, UsageError
from turnkey.measure import Record
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.lean_cache import remove_artifacts
from turnkey.tools.benchmark import Benchmark
from turnkey.tools.profile import Profile


def test_given_batch_sizes_are_all_measured_checked_and_kept(tmp_path):
    state = Profile().run(exponential(tmp_path), batch_sizes=(8, 1), threads=1)
    [entry] = state.measurements
    curve = entry["batches"]
    assert [rung["batch_size"] for rung in curve["rungs"]] == [1, 8]
    assert curve["best_batch_size"] in (1, 8)
    assert curve["stop"] == "complete"
    assert all(rung["items_per_second"] > 0 and rung["latency_ms"] > 0 for rung in curve["rungs"])
    lines = state.listing.splitlines()
    assert lines[0].split()[:2] == ["candidate", "batch"]
    assert [line.split()[3] for line in lines[1:3]] == ["1", "8"]
    assert "all batch sizes were measured" in state.listing
    # Records lie beside each other, also after what is not worth its space is gone, and outputs were compared.
    remove_artifacts(BuildPaths(state.cache_dir, state.build_name))
    record = Record.load(state.build_dir / entry["batches_record"] / "batch-8.zip")
    assert record.summary("onnx @ onnxruntime").facts["verification"] == "valid"
    # A benchmark of the same candidate keeps its curve.
    [entry] = Benchmark().run(exponential(tmp_path / "again"), effort="quick", iterations=6, threads=1).measurements
    assert "batches" not in entry
    state = Profile().run(exponential(tmp_path / "both"), batch_sizes=(2,), threads=1)
    [entry] = Benchmark().run(state, effort="quick", iterations=6, threads=1).measurements
    assert entry["batches"]["rungs"][0]["batch_size"] == 2
    assert entry["latency_ms"] > 0


def test_a_fixed_batch_size_is_refused_with_what_would_free_it(tmp_path):
    state = exponential(tmp_path, EXPONENTIAL.replace("N,64", "4,64"))
    with pytest.raises(UsageError, match="no batch size to vary") as caught:
        Profile().run(state, batch_sizes=(1, 2))
    assert "onnx @ onnxruntime" in caught.value.evidence
    assert "--dynamic" in caught.value.remedy


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"batch_sizes": (1,), "max_batch_size": 4}, "--max-batch-size and --batch-sizes"),
        ({"runtime": "onnxruntime", "runtimes": ("onnxruntime",)}, "--runtime and --runtimes"),
    ],
)
def test_arguments_that_say_the_same_thing_are_refused(tmp_path, given, said):
    with pytest.raises(UsageError, match=said):
        Profile().run(exponential(tmp_path), **given)


def test_a_live_model_that_cannot_leave_this_process_has_no_curve(tmp_path):
    state = state_of(tmp_path, source(CannotLeave().eval(), samples_of((2, 3, 8))))
    with pytest.raises(ModelError, match="fresh processes"):
        Profile().run(state, runtime="torch", batch_sizes=(1,))


@pytest.mark.slow
def test_a_live_model_and_its_leading_axis_are_measured_too(tmp_path):
    state = state_of(tmp_path, source(Net().eval(), samples_of((2, 3, 8))))
    state = Profile().run(state, runtime="torch", batch_sizes=(1, 3), threads=1)
    assert [rung["batch_size"] for rung in state.measurements[0]["batches"]["rungs"]] == [1, 3]


def test_a_dry_run_says_which_batch_sizes_and_what_each_costs():
    said = Profile.plan({}, runtime="onnxruntime", batch_sizes=(1, 2))
    assert said.startswith("batch sizes 1, 2; at each 1 candidate (onnxruntime)")
    assert "effort quick: 1 round" in said
