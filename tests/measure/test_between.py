"""Candidates of two records: comparable or not, and what is said. On a simulated host, whose truth is known."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pytest
from simulated_records import simulated_record

from turnkey.errors import UsageError
from turnkey.measure import Record
from turnkey.measure.between import compare_records
from turnkey.measure.statistics import welch_interval


def record(times_ms: Mapping[str, float], *, seed: int = 0, digest: str | None = None, **settings: Any) -> Record:
    facts = {} if digest is None else {key: {"sha256": digest} for key in times_ms}
    return simulated_record(times_ms, seed=seed, facts=facts, **settings)


def test_a_clear_difference_between_sessions_is_named_and_mirrors() -> None:
    before, after = record({"a": 2.0, "b": 3.0}, seed=1), record({"a": 1.0, "b": 3.0}, seed=2)
    there = compare_records(before, "a", after, "a").verdict
    back = compare_records(after, "a", before, "a").verdict
    assert there is not None
    assert back is not None
    assert (str(there.kind), str(back.kind)) == ("FASTER", "SLOWER")
    assert there.low < 2.0 < there.high
    assert there.ratio == pytest.approx(1 / back.ratio)
    assert any("different sessions" in note for note in there.notes)


def test_rounds_of_different_sessions_are_not_taken_for_pairs() -> None:
    before, after = record({"a": 2.0, "b": 3.0}, seed=1), record({"a": 2.0, "b": 3.0}, seed=2)
    units = before.units["a"].keys() & after.units["a"].keys()
    assert len(units) >= 5
    found = compare_records(before, "a", after, "a").verdict
    assert found is not None
    first, second = (list(record.units["a"].values()) for record in (before, after))
    welch = welch_interval(second, first, level=0.05)
    assert found.ratio == pytest.approx(math.exp(-welch.mean))
    assert (found.low, found.high) == pytest.approx((math.exp(-welch.high), math.exp(-welch.low)))


def test_records_of_two_schemas_are_compared_by_one_rule() -> None:
    before = record({"a": 2.0, "b": 3.0}, seed=1)
    after = record({"a": 1.0, "b": 3.0}, seed=2)
    old = Record({**before.run, "schema": 1}, before.slices)
    assert old.units != before.units
    assert compare_records(old, "a", after, "a").verdict == compare_records(before, "a", after, "a").verdict


def test_the_same_bytes_measured_in_both_are_the_yardstick() -> None:
    before = record({"a": 2.0, "same": 3.0}, seed=1, digest="d")
    after = record({"a": 2.6, "same": 3.9}, seed=2, digest="d")  # the host became slower by 1.3
    found = compare_records(before, "a", after, "a")
    assert found.verdict is not None
    assert found.verdict.low < 1.0 < found.verdict.high
    assert any("yardstick same" in note for note in found.notes)


def test_what_was_measured_under_other_conditions_is_not_comparable_unless_that_is_allowed() -> None:
    before, after = record({"a": 2.0}, threads=1), record({"a": 2.0}, threads=2)
    found = compare_records(before, "a", after, "a")
    assert found.verdict is None
    assert found.differences == {"a: threads": (1, 2)}
    allowed = compare_records(before, "a", after, "a", allowed=frozenset({"threads"}))
    assert allowed.differences == {}
    assert allowed.verdict is not None
    assert any("threads differs" in note for note in allowed.notes)


def test_inputs_of_other_shapes_are_not_comparable_and_records_that_do_not_tell_them_are() -> None:
    def fed(shape: str | None) -> Record:
        found = record({"a": 2.0})
        for entry in found.run["rounds"]:
            for process in entry["processes"]:
                process["inputs"] = {} if shape is None else {"x": f"float32{shape}"}
        return found

    found = compare_records(fed("[1, 8]"), "a", fed("[4, 8]"), "a")
    assert found.verdict is None
    assert found.differences == {"a: inputs": ("x float32[1, 8]", "x float32[4, 8]")}
    assert compare_records(fed("[1, 8]"), "a", fed("[4, 8]"), "a", allowed=frozenset({"inputs"})).verdict is not None
    for old, new in ((None, "[4, 8]"), ("[1, 8]", "[1, 8]")):
        assert compare_records(fed(old), "a", fed(new), "a").differences == {}


def test_one_process_each_gives_no_verdict() -> None:
    found = compare_records(record({"a": 2.0}, effort="quick"), "a", record({"a": 1.0}, effort="quick"), "a")
    assert found.verdict is None
    assert "effort standard" in found.notes[0]


def test_candidates_of_one_record_are_compared_as_they_were_measured() -> None:
    one = record({"a": 2.0, "b": 1.0})
    assert compare_records(one, "a", one, "b").verdict == one.verdict("b", against="a")


def test_an_unknown_candidate_is_refused() -> None:
    one = record({"a": 2.0})
    with pytest.raises(UsageError, match="no candidate"):
        compare_records(one, "a", record({"a": 2.0}, seed=3), "c")


def test_a_mean_is_not_compared_with_a_median_unless_that_is_allowed() -> None:
    before, after = record({"a": 2.0, "b": 3.0}, seed=1), record({"a": 1.0, "b": 3.0}, seed=2, objective="mean")
    found = compare_records(before, "a", after, "a")
    assert found.verdict is None
    assert found.differences == {"objective": ("median", "mean")}
    allowed = compare_records(before, "a", after, "a", allowed=frozenset({"objective"}))
    again = Record({**after.run, "settings": {**after.run["settings"], "objective": "median"}}, after.slices)
    assert allowed.verdict == compare_records(before, "a", again, "a").verdict
    assert "objective differs, which was allowed" in allowed.notes
