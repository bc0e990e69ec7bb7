"""What a record says: in numbers, in words, and of files that older versions wrote."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.errors import UsageError
from turnkey.measure import Record, Verdict

STORED = Path(__file__).parent / "records"


simulated = partial(simulated_record, seed=4, budget_s=1e6)


def test_a_record_of_schema_1_is_read_for_ever() -> None:
    record = Record.load(STORED / "schema-1.zip")
    assert record.keys == ("a", "b", "c")
    verdict = record.verdict("b")
    assert verdict is not None
    assert str(verdict) == "SLOWER 0.89× [0.86, 0.92]"
    assert record.summary("b").latency_ms == pytest.approx(6.376278, abs=1e-6)
    assert record.summary("b").percentiles_ms[99] is None
    assert record.noise_floor == pytest.approx(0.004303, abs=1e-6)
    assert record.verdicts_json() == record.run["verdicts"]


def test_a_record_of_schema_2_is_read_for_ever() -> None:
    record = Record.load(STORED / "schema-2.zip")
    assert str(record.verdict("b")) == "SLOWER 0.90× [0.87, 0.92]"
    assert record.summary("b").latency_ms == pytest.approx(5.731341, abs=1e-6)
    assert record.noise_floor == pytest.approx(0.005642, abs=1e-6)
    assert record.verdicts_json() == record.run["verdicts"]


def test_the_sentence_names_the_winner_the_ratio_and_the_ties() -> None:
    record = simulated({"torch": 11.5, "onnxruntime": 5.0, "openvino": 5.0}, reference="torch", effort="rigorous")
    said = record.sentence()
    winner = record.fastest
    tied = {"onnxruntime": "openvino", "openvino": "onnxruntime"}[winner or ""]
    assert said.startswith(f"{winner} is 2.")
    assert "faster than torch" in said
    assert said.endswith(f"{tied} ties with it within 2 %")


def test_the_sentence_of_a_slower_candidate_and_of_the_baseline_that_wins() -> None:
    said = simulated({"torch": 5.0, "slow": 10.0}, reference="torch").sentence()
    assert said.startswith("torch is the fastest of 2; slow is ")
    assert said.endswith("slower than torch")


def test_the_sentence_of_one_candidate_is_its_latency() -> None:
    assert simulated({"torch": 5.0}, reference=None).sentence().startswith("torch takes ")


def test_a_comparison_by_anything_but_the_median_says_so() -> None:
    record = simulated({"a": 5.0, "b": 10.0}, reference="a", objective="mean", max_rounds=2)
    assert record.sentence().endswith("slower than a (by the mean of each round)")


def test_what_cannot_be_told_apart_yet_says_so() -> None:
    record = simulated({"a": 5.0, "b": 5.05}, reference="a", max_rounds=5)
    verdict = record.verdict("b")
    assert verdict is not None
    assert verdict.kind == "UNDECIDED"
    assert any("more rounds" in note for note in verdict.notes)
    assert record.sentence().startswith("a is the fastest of 2 so far; b cannot be told from a yet (")


def test_one_call_of_each_has_a_ratio_but_no_interval() -> None:
    record = simulated({"a": 5.0, "b": 5.6}, reference="a", iterations=1)
    verdict = record.verdict("b")
    assert verdict is not None
    assert str(verdict).endswith("× [no interval]")
    assert "inf" not in record.sentence()
    assert record.summary("a").low_ms is None


def test_without_a_named_baseline_all_are_compared_to_the_fastest() -> None:
    record = simulated({"slow": 9.0, "fast": 5.0}, reference=None)
    assert record.reference == "fast"
    assert record.verdict("fast") is None
    found = record.verdict("slow")
    assert isinstance(found, Verdict)
    assert found.kind == "SLOWER"


def test_throughput_is_calls_over_timed_time_and_percentiles_are_of_pooled_calls() -> None:
    record = simulated({"a": 5.0}, reference=None, iterations=400)
    times = [ns for items in record.timed["a"].values() for item in items for ns in item.ns]
    summary = record.summary("a")
    assert summary.throughput_per_s == pytest.approx(len(times) / (sum(times) / 1e9))
    assert summary.mean_ms == pytest.approx(sum(times) / len(times) / 1e6)
    p99 = summary.percentiles_ms[99]
    assert p99 is not None
    assert sum(ns / 1e6 <= p99 for ns in times) >= 0.985 * len(times)
    assert summary.percentiles_ms[99.9] is None


def test_records_are_comparable_only_where_machine_threads_versions_and_inputs_agree() -> None:
    record = Record.load(STORED / "schema-1.zip")
    assert record.differences(record) == {}
    run = {**record.run, "environment": {**record.run["environment"], "processor": "another"}}
    run["variants"] = [{**entry, "threads": 7} if entry["key"] == "b" else entry for entry in run["variants"]]
    other = Record(run, record.slices)
    assert set(record.differences(other)) == {"processor", "b: threads"}
    assert other.differences(record)["b: threads"] == (7, 1)


def test_an_unknown_candidate_is_a_usage_error_that_lists_the_known_ones() -> None:
    record = simulated({"a": 5.0}, reference=None)
    for ask in (record.summary, record.verdict, record.windows):
        with pytest.raises(UsageError, match="no candidate 'z'") as caught:
            ask("z")
        assert "it has: a" in caught.value.evidence


@pytest.mark.parametrize("objective", ["mean", "p90"])
def test_what_is_compared_is_said_and_one_round_of_it_has_no_interval_of_medians(objective: str) -> None:
    record = simulated({"a": 5.0, "b": 10.0}, reference="a", objective=objective)
    assert record.sentence().endswith(f"(by the {objective} of each round)")
    pooled = [record.summary(key).mean_ms for key in ("a", "b")]
    if objective == "mean":
        assert [record.summary(key).latency_ms for key in ("a", "b")] == pytest.approx(pooled, rel=0.02)
    one = simulated({"a": 5.0, "b": 10.0}, reference="a", objective=objective, min_rounds=1, max_rounds=1)
    assert one.verdict("b") is None
    assert one.summary("b").latency_ms is not None
    assert one.summary("b").low_ms is None
