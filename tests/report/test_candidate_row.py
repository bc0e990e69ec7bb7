"""Candidates as rows of a report."""

from __future__ import annotations

import pytest

from turnkey.report.candidate_row import candidate_rows
from turnkey.report.source import read_build

from .conftest import MEASUREMENT, MakeBuild


@pytest.mark.parametrize(
    ("validity", "valid", "shown"),
    [
        ("VALID", True, "FASTER 75.17× [2.50, 3459.39] torch"),
        ("INVALID", True, "FASTER 75.17× [2.50, 3459.39] torch (value INVALID)"),
        ("INVALID", False, "FASTER 75.17× [2.50, 3459.39] torch INVALID"),
        ("VALID", False, "FASTER 75.17× [2.50, 3459.39] torch INVALID"),
    ],
)
def test_a_verdict_says_itself_what_of_it_must_not_be_used(
    validity: str, valid: bool, shown: str, make_build: MakeBuild
) -> None:
    verdict = {"kind": "FASTER", "ratio": 75.17, "low": 2.5, "high": 3459.39, "reference": "torch", "valid": valid}
    build, _ = read_build(make_build("net", measurements=[{**MEASUREMENT, "validity": validity}]))
    [row] = candidate_rows(build, {str(MEASUREMENT["key"]): verdict})
    assert row.verdict == shown


def test_latencies_of_several_statistics_say_theirs_and_are_ranked_by_what_they_share(make_build: MakeBuild) -> None:
    shared = {**MEASUREMENT, "variant": None, "peak_memory_bytes": 1, "size_bytes": 1}
    paths = make_build(
        "net",
        measurements=[
            {**shared, "key": "tail", "objective": "p99", "latency_ms": 9.0, "median_ms": 1.0},
            {**shared, "key": "middle", "latency_ms": 2.0, "median_ms": 2.0},
        ],
    )
    build, _ = read_build(paths)
    tail, middle = candidate_rows(build, {})
    assert tail.latency_text.endswith(" p99")
    assert "p99" not in middle.latency_text
    bar = tail.bar()
    assert bar is not None
    assert bar.label == "tail (p99)"
    assert (tail.is_unbeaten, middle.is_unbeaten) == (True, False)
