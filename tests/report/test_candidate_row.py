"""Candidates as rows of a report."""

from __future__ import annotations

from turnkey.report.candidate_row import candidate_rows
from turnkey.report.source import read_build

from .conftest import MEASUREMENT, MakeBuild


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
