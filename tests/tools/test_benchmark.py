"""The tool benchmark on real runtimes in real worker processes."""

from __future__ import annotations

import os
import zipfile
from dataclasses import replace

import pytest
import torch
from model_builds import EXPONENTIAL, CannotLeave, Net, edit, exponential, export, samples_of, source, state_of

from turnkey.errors import ConversionError, MeasurementInvalid, UsageError
from turnkey.measure import Record
from turnkey.model.samples import write_samples
from turnkey.pipeline.build import BuildPaths
from turnkey.tools.benchmark import Benchmark
from turnkey.tools.record_listing import print_records
from turnkey.tools.verify import Verify

QUICK = {"effort": "quick", "iterations": 6, "threads": 1}


def entry_of(state, key):
    [entry] = [entry for entry in state.measurements if entry["key"] == key]
    return entry


def is_spoilt(state):
    """Whether this host was too busy for any comparison to stand; what is recommended then is tested elsewhere."""
    return state.chosen is None and "INVALID" in state.statistics["recommendation"]


def test_exactly_n_calls_are_timed_and_every_documented_key_is_filled(file):
    state = Benchmark().run(Verify().run(file), **QUICK)
    entry = entry_of(state, "onnx @ onnxruntime")
    assert entry["timed_calls"] == 6
    assert entry["batch_size"] == 4
    assert entry["threads"] == 1
    assert entry["p50_ms"] > 0
    assert "p99_ms" not in entry, "six calls carry no p99"
    assert entry["peak_memory_bytes"] > 1 << 20
    assert entry["load_ms"] > 0
    assert entry["first_call_ms"] > 0
    statistics = state.statistics
    assert statistics["iterations"] == 6
    assert statistics["runtime"] == "onnxruntime"
    assert statistics["device_type"] == "cpu"
    assert statistics["mean_latency_units"] == "milliseconds (ms)"
    assert statistics["throughput"] == pytest.approx(entry["throughput_items_per_second"])
    assert statistics["validity"] in ("VALID", "INVALID")
    record = Record.load(state.build_dir / statistics["record"])
    assert record.summary("onnx @ onnxruntime").facts["variant"] == "onnx"
    assert statistics["mean_latency"] == record.summary("onnx @ onnxruntime").mean_ms
    assert state.listing.splitlines()[0].startswith("candidate")


def test_what_was_not_verified_is_measured_and_not_recommended(file):
    state = Benchmark().run(file, **QUICK)
    assert state.chosen is None
    assert "onnx is not verified: put verify before benchmark" in state.listing
    assert state.statistics["runtime"] == "onnxruntime"


def test_an_unverified_variant_is_not_recommended_and_the_reason_is_shown(tmp_path):
    text = EXPONENTIAL.replace("Exp (x)", "Sub (x, x)")
    state = Verify().run(exponential(tmp_path, text))
    state = Benchmark().run(state, **QUICK)
    assert state.chosen is None
    assert "unverified" in state.statistics["recommendation"]


def test_a_file_that_went_wrong_after_it_was_verified_is_invalid_and_refused(file):
    state = Verify().run(file)
    edit(state, lambda model: setattr(model.graph.node[0], "op_type", "Neg"))
    state = Benchmark().run(state, **QUICK)
    entry = entry_of(state, "onnx @ onnxruntime")
    assert entry["validity"] == "INVALID"
    assert any("wrong-output" in reason for reason in entry["reasons"])
    assert "INVALID onnx @ onnxruntime: wrong-output: " in state.listing
    assert "find the first divergent layer with the verify tool" in state.listing
    assert state.chosen is None


@pytest.mark.slow
def test_torch_and_onnxruntime_are_compared_in_one_experiment_by_names_old_and_new(tmp_path):
    module = Net().train()
    state = export(state_of(tmp_path, source(module, samples_of((2, 3, 8)))))
    state = Benchmark().run(Verify().run(state), runtimes=["torch-eager", "ort"], **QUICK)
    assert [entry["key"] for entry in state.measurements] == ["torch", "onnx @ onnxruntime"]
    assert len({entry["record"] for entry in state.measurements}) == 1
    assert "against torch" in state.listing
    assert "verdict" in entry_of(state, "onnx @ onnxruntime")
    assert state.chosen in ("torch", "onnx @ onnxruntime") or is_spoilt(state)
    assert entry_of(state, "torch")["verification"] == "valid"
    assert module.training, "the script's model is as it was"


@pytest.mark.slow
def test_torch_compile_reports_its_compilation_apart_from_latency(tmp_path):
    state = state_of(tmp_path, source(Net().eval(), samples_of((2, 3, 8))))
    state = Benchmark().run(state, runtime="torch-compile", rt_args=["backend::aot_eager"], **QUICK)
    entry = entry_of(state, "torch-compile")
    assert entry["compile_ms"] > entry["p50_ms"]
    assert state.statistics["torch_compilation_seconds"] == pytest.approx(entry["compile_ms"] / 1000)
    assert state.chosen == "torch-compile" or is_spoilt(state)


class CannotArrive(Net):
    """Pickles, and refuses to be rebuilt elsewhere."""

    def __reduce_ex__(self, protocol):
        return _only_here, (os.getpid(),)


def _only_here(pid):
    if os.getpid() != pid:
        raise OSError("this device belongs to another process")
    return CannotArrive()


@pytest.mark.parametrize(
    ("module", "why"), [(CannotLeave, "lock"), pytest.param(CannotArrive, "belongs to", marks=pytest.mark.slow)]
)
def test_a_model_that_cannot_leave_this_process_is_measured_here_and_every_record_says_so(tmp_path, module, why):
    threads = torch.get_num_threads()
    state = state_of(tmp_path, source(module().train(), samples_of((2, 3, 8))))
    both = {"runtimes": ["torch", "torch-compile"], "rt_args": ["torch-compile.backend::eager"]}
    state = Benchmark().run(state, **QUICK, **both)
    assert "measured in this process" in state.listing
    assert why in state.listing
    for entry in state.measurements:
        assert entry["timed_calls"] == 6
        assert any("replication: none" in note for note in entry["notes"])
    assert torch.get_num_threads() == threads
    assert all(child.training for child in state.model.module.modules())


def test_a_build_whose_reference_outputs_are_unknown_is_measured_and_not_recommended(tmp_path):
    state = export(state_of(tmp_path, source(Net().eval(), samples_of((2, 3, 8)))))
    write_samples(state.model.samples, BuildPaths(state.cache_dir, state.build_name).samples)
    state = Benchmark().run(replace(state, model=None), **QUICK)
    assert entry_of(state, "onnx @ onnxruntime")["timed_calls"] == 6
    assert state.chosen is None


def test_a_runtime_that_fails_leaves_the_others_results_standing(file):
    state = Verify().run(file)
    (file.build_dir / "onnx" / "bad.onnx").write_bytes(b"not a model")
    bad = replace(state.variant("onnx"), key="onnx-bad", path="onnx/bad.onnx")
    both = replace(state, variants=(*state.variants, bad))
    result = Benchmark().run(both, variants=["onnx", "onnx-bad"], **QUICK)
    assert "ONNX Runtime cannot load bad.onnx" in entry_of(result, "onnx-bad @ onnxruntime")["error"]
    assert result.chosen == "onnx @ onnxruntime" or is_spoilt(result)
    with pytest.raises(ConversionError, match=r"cannot load bad\.onnx"):
        Benchmark().run(both, variants=["onnx-bad"], **QUICK)


def test_options_reach_the_runtime_that_they_are_for(file):
    state = Benchmark().run(file, rt_args=["onnxruntime.graph_optimization_level::basic", "torch.x::1"], **QUICK)
    record = Record.load(state.build_dir / state.statistics["record"])
    options = record.summary("onnx @ onnxruntime").facts["options"]
    assert options == {"graph_optimization_level": "basic"}


def test_seed_budget_and_inputs_reach_the_measurement_and_the_seed_is_the_calls_unless_the_tool_has_its_own(file):
    seeded = replace(file, environment={"seed": 7})
    own = {"seed": 3, "budget": 45.0, "inputs": "same"}
    for given, expected in (({}, (7, 600.0, "rotate")), (own, (3, 45.0, "same"))):
        state = Benchmark().run(seeded, **QUICK, **given)
        record = Record.load(state.build_dir / state.statistics["record"])
        assert (record.settings.seed, record.settings.budget, record.settings.inputs) == expected
    assert any("same-input" in note for note in record.summary("onnx @ onnxruntime").notes)


def test_a_second_benchmark_keeps_the_first_ones_record_and_replaces_its_numbers(file):
    first = Benchmark().run(file, **QUICK)
    second = Benchmark().run(first, **{**QUICK, "iterations": 7})
    assert len(list((file.build_dir / "runs").glob("*.zip"))) == 2
    assert entry_of(second, "onnx @ onnxruntime")["timed_calls"] == 7
    assert all(zipfile.is_zipfile(path) for path in (file.build_dir / "runs").glob("*.zip"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"runtime": "torch"}, "live PyTorch model"),
        ({"runtime": "tvm"}, "no runtime called 'tvm'"),
        ({"runtime": "onnxruntime", "runtimes": ["torch"]}, "give one of them"),
        ({"variants": ["onnx-int8"]}, "no variant 'onnx-int8'"),
        ({"device": "tpu"}, "no device 'tpu'"),
        ({"rt_args": ["::"]}, "--rt-args"),
        ({"rt_args": ["speed::high"]}, "speed"),
    ],
)
def test_contradictions_and_unknown_names_are_usage_errors(file, arguments, words):
    with pytest.raises(UsageError, match=words):
        Benchmark().run(file, **QUICK, **arguments)


def test_without_any_variant_the_live_model_is_measured_and_onnxruntime_says_what_it_lacks(tmp_path):
    state = state_of(tmp_path, source(Net().eval(), samples_of((2, 3, 8))))
    with pytest.raises(UsageError, match="nothing that the runtime onnxruntime executes") as caught:
        Benchmark().run(state, runtime="ort")
    assert "export-pytorch" in caught.value.remedy


def test_a_loaded_build_needs_its_script_again_only_for_torch(file):
    assert not Benchmark.needs_live_model(file)
    assert Benchmark.needs_live_model(file, runtimes=["onnxruntime", "torch-compile"])
    assert Benchmark.needs_live_model(replace(file, variants=()))


@pytest.mark.slow
def test_thread_counts_are_candidates_of_their_own_in_one_experiment(file):
    state = Benchmark().run(Verify().run(file), effort="quick", iterations=6, threads="1,2", details=True)
    keys = ["onnx @ onnxruntime (1 thread)", "onnx @ onnxruntime (2 threads)"]
    assert [entry["key"] for entry in state.measurements] == keys
    assert [entry["threads"] for entry in state.measurements] == [1, 2]
    record = Record.load(state.build_dir / state.statistics["record"])
    assert record.verdict(next(key for key in keys if key != record.reference)) is not None
    assert "threads-differ" not in {reason.code for reason in record.reasons}
    assert record.summary(keys[1]).facts["variant"] == "onnx"
    details = next(line for line in state.listing.splitlines() if line.startswith("candidate") and "import ms" in line)
    assert "pays back after" in details
    assert "J per call" in details


def test_threads_of_a_model_that_cannot_leave_this_process_are_not_compared(tmp_path):
    state = state_of(tmp_path, source(CannotLeave().eval(), samples_of((2, 3, 8))))
    with pytest.raises(UsageError, match="fresh processes only"):
        Benchmark().run(state, runtime="torch", **{**QUICK, "threads": "1,2"})


def test_another_statistic_than_the_median_is_said_wherever_its_latency_stands(file, capsys):
    state = Benchmark().run(
        Verify().run(file), effort="standard", objective="mean", iterations=6, threads=1, budget=0.01
    )
    entry = entry_of(state, "onnx @ onnxruntime")
    assert entry["objective"] == "mean"
    assert state.statistics["median_latency_ms"] == entry["median_ms"]
    record = state.build_dir / entry["record"]
    assert Record.load(record).settings.objective == "mean"
    print_records([record], as_json=False)
    for shown in (state.listing, capsys.readouterr().out):
        assert "mean latency ms [95 %]" in shown
        assert "(by the mean of each round" in shown


def test_one_process_or_one_that_nothing_can_leave_compares_medians_only(tmp_path, file):
    with pytest.raises(UsageError, match="effort quick compares medians"):
        Benchmark().run(file, **QUICK, objective="p90")
    state = state_of(tmp_path, source(CannotLeave().eval(), samples_of((2, 3, 8))))
    with pytest.raises(UsageError, match="the mean can be compared in fresh processes only"):
        Benchmark().run(state, runtime="torch", effort="standard", iterations=6, threads=1, objective="mean")


def test_strict_turns_an_invalid_result_into_an_error_that_keeps_it(file):
    state = Verify().run(file)
    edit(state, lambda model: setattr(model.graph.node[0], "op_type", "Neg"))
    with pytest.raises(MeasurementInvalid, match="must not be used") as caught:
        Benchmark().run(state, **QUICK, strict=True)
    assert "wrong-output" in caught.value.evidence
    assert entry_of(caught.value.state, "onnx @ onnxruntime")["validity"] == "INVALID"


@pytest.mark.parametrize("load", [None, "offline"])
def test_clocks_are_locked_on_a_gpu_only(file, load):
    with pytest.raises(UsageError, match="for a GPU"):
        Benchmark().run(file, **({} if load else QUICK), lock_clocks=True, load=load)


@pytest.mark.parametrize("given", [{"clients": "1,2"}, {"load_seconds": 3.0}, {"p95_bound_ms": 20.0}])
def test_what_says_how_to_load_is_refused_where_no_load_is_asked_for(file, given):
    with pytest.raises(UsageError, match=next(iter(given)).replace("_", "-")):
        Benchmark().run(file, **QUICK, **given)


@pytest.mark.parametrize(
    "given", [{"iterations": 10}, {"budget": 10.0}, {"objective": "p99"}, {"ties": "size"}, {"details": True}]
)
def test_what_is_for_single_calls_is_refused_under_a_load(file, given):
    [name] = given
    with pytest.raises(UsageError, match=f"--{name} is for single calls"):
        Benchmark().run(file, load="offline", **given)
