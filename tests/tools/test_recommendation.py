"""What is recommended: fast, verified, and validly compared. On records of a simulated host."""

from __future__ import annotations

import copy

import pytest
from simulated_records import simulated_record

from turnkey.measure import Record
from turnkey.pipeline.state import State, Variant
from turnkey.runtimes import find_runtime
from turnkey.tools.benchmark_table import benchmark_table
from turnkey.tools.candidates import Candidate
from turnkey.tools.measurements import error_of, loss_of
from turnkey.tools.recommendation import GOALS, recommend

TIMES = {"torch": 5.0, "onnx": 2.0, "onnx-opt": 2.0, "slow": 9.0}


@pytest.fixture(scope="module")
def record():
    return simulated_record(TIMES, reference="torch", seed=3, effort="rigorous")


def changed(record, **entry):
    """The same record, with the processes of one candidate saying something else."""
    run = copy.deepcopy(dict(record.run))
    for round_ in run["rounds"]:
        for process in round_["processes"]:
            if process["v"] == entry["v"]:
                process.update(entry)
    return Record(run, record.slices)


def chosen(record, sizes=None, **verdicts):
    verification = {**dict.fromkeys(TIMES, "valid"), **{k.replace("_", "-"): v for k, v in verdicts.items()}}
    return recommend(record, verification=verification, size_bytes=sizes or {}, losses={})


def test_the_smaller_of_two_that_tie_is_recommended_and_the_tie_is_said(record):
    choice = chosen(record, {"onnx": 10, "onnx-opt": 5})
    assert choice.key == "onnx-opt"
    assert choice.ties == ("onnx",)
    assert chosen(record, {"onnx": 5, "onnx-opt": 10}).key == "onnx"
    assert "as fast as onnx" in choice.sentence


def test_of_two_that_tie_the_one_without_a_loss_is_recommended_though_it_is_larger(record):
    told = {"verification": dict.fromkeys(TIMES, "valid"), "size_bytes": {"onnx": 10, "onnx-opt": 5}}
    choice = recommend(record, losses={"onnx-opt": "quantized to 8 bits: relative L2 0.06"}, **told)
    assert (choice.key, choice.ties, choice.loss) == ("onnx", ("onnx-opt",), "")
    assert choice.sentence.startswith("recommended: onnx, as fast as onnx-opt and without their loss")
    both = recommend(record, losses={"onnx": "8 bits", "onnx-opt": "8 bits"}, **told)
    assert both.key == "onnx-opt"
    assert "and smaller" in both.sentence


def test_ties_are_settled_in_the_order_that_was_asked_for_and_the_sentence_says_it(record):
    told = {"verification": dict.fromkeys(TIMES, "valid"), "size_bytes": {"onnx": 10, "onnx-opt": 5}, "losses": {}}
    errors = {"onnx": 1e-7, "onnx-opt": 2e-7}
    choice = recommend(record, errors=errors, ties=("error", "size"), **told)
    assert choice.sentence == ("recommended: onnx, as fast as onnx-opt and with a smaller error (ties by error, size)")
    assert recommend(record, errors=errors, ties=("size", "error"), **told).key == "onnx-opt"
    assert recommend(record, errors=errors, **told).sentence == "recommended: onnx-opt, as fast as onnx and smaller"
    assert recommend(record, ties=("error",), **told).sentence == (
        "recommended: onnx, as fast as onnx-opt (ties by error)"
    )


def test_what_cannot_be_told_from_the_choice_is_named(record):
    assert "cannot be told" not in chosen(record).sentence
    close = simulated_record({"torch": 5.0, "onnx": 2.0, "onnx-opt": 2.005}, reference="torch", seed=2)
    assert str(close.verdict("onnx-opt", against="onnx").kind) == "UNDECIDED"
    choice = chosen(close)
    assert {choice.key, *choice.undecided} == {"onnx", "onnx-opt"}
    assert f"{choice.undecided[0]} cannot be told from it yet" in choice.sentence


@pytest.mark.parametrize("verdict", ["onnx is unverified: zero", "onnx is invalid: wrong", "onnx is not verified"])
def test_what_is_not_verified_is_never_recommended_and_the_reason_is_said(record, verdict):
    choice = chosen(record, onnx=verdict, onnx_opt=verdict)
    assert choice.key == "torch"
    assert choice.refused == {"onnx": verdict, "onnx-opt": verdict}
    assert verdict in choice.sentence


def test_a_wrong_output_or_a_fall_back_found_while_measuring_refuses_a_candidate(record):
    wrong = changed(record, v="onnx", wrong="output 'y' at [0]: 1 instead of 2")
    assert chosen(wrong, {"onnx": 1, "onnx-opt": 5}).key == "onnx-opt"
    assert "wrong-output" in chosen(wrong).refused["onnx"]
    fallback = changed(record, v="onnx", facts={"fallback": "3 nodes on the CPU"})
    assert "provider-fallback" in chosen(fallback).refused["onnx"]


@pytest.mark.parametrize("goal", GOALS)
def test_what_is_recommended_in_spite_of_a_loss_says_it(record, goal):
    told = {"verification": dict.fromkeys(TIMES, "valid"), "size_bytes": dict.fromkeys(TIMES, 7), "goal": goal}
    losses = {key: f"{key} loses much" for key in TIMES}
    choice = recommend(record, losses=losses, **told)
    assert choice.loss == f"{choice.key} loses much"
    assert choice.loss in choice.sentence
    assert recommend(record, losses={}, **told).loss == ""


def test_the_loss_of_a_variant_is_the_worst_that_verification_saw(tmp_path):
    outputs = [{"name": "a", "relative_l2": 0.01, "max_abs": 0.3}, {"name": "b", "relative_l2": 0.06}]
    state = State(tmp_path, "m", verification=({"key": "onnx-int8-static", "verdict": "valid", "outputs": outputs},))
    runtime = find_runtime("onnxruntime")

    def candidate(key):
        variant = Variant(key=key, format="onnx", path="m.onnx", sha256="")
        return Candidate(key=key, runtime=runtime, variant=variant, path=None, device="cpu")

    assert loss_of(state, candidate("onnx-int8-static")) == (
        "quantized to 8 bits: relative L2 0.06, largest error 0.3"
    )
    assert loss_of(state, candidate("onnx-opt")) == ""
    assert error_of(state, candidate("onnx-int8-static")) == 0.06
    assert error_of(state, candidate("onnx-opt")) == float("inf")
    assert "not kept" in loss_of(state, candidate("onnx-fp16"))


def test_nothing_is_recommended_where_nothing_is_verified(record):
    choice = recommend(record, verification={}, size_bytes={}, losses={})
    assert choice.key is None
    assert choice.sentence.startswith("nothing is recommended: ")


def test_the_table_shows_items_per_second_and_marks_what_must_not_be_used(record):
    wrong = changed(record, v="slow", wrong="output 'y' is NaN")
    lines = benchmark_table(wrong, batch=4, size_bytes={"torch": 2048}).splitlines()
    assert "against torch" in lines[0]
    torch, onnx, _, slow = lines[1:]
    assert "2.0 KiB" in torch
    calls = record.summary("torch").throughput_per_s
    assert f"{calls * 4:,.4g}" in torch
    assert "FASTER 2.5" in onnx
    assert slow.rstrip().endswith("INVALID")
