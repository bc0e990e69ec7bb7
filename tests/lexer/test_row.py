"""The documented numbers: their definitions, by the example of the specification and by properties."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.lexer.row import COLUMNS, metrics, notes_text

TIMES = st.lists(st.floats(1e-4, 1e5), min_size=1, max_size=200)


def test_the_example_of_the_specification() -> None:
    """LB8.1: the original wrote a variance of 0.000125."""
    found = metrics([10.0, 20.0, 30.0, 40.0], batch_size=4)

    assert found["num_samples"] == 4
    assert {name: round(found[name], 9) for name in found} == {
        "num_samples": 4,
        "variance": 125,
        "mean_ms": 25,
        "p50_ms": 25,
        "p90_ms": 37,
        "p95_ms": 38.5,
        "p99_ms": 39.7,
        "throughput_per_sec": 160,
        "std_ms": round(125**0.5, 9),
        "min_ms": 10,
        "max_ms": 40,
    }


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(TIMES, st.integers(1, 64))
def test_percentiles_rise_and_the_variance_is_the_square_of_the_deviation(times: list[float], batch: int) -> None:
    found = metrics(times, batch_size=batch)

    ladder = [found[name] for name in ("min_ms", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "max_ms")]
    assert all(a <= b * (1 + 1e-12) for a, b in itertools.pairwise(ladder))
    assert found["variance"] == pytest.approx(found["std_ms"] ** 2)
    assert found["throughput_per_sec"] * found["mean_ms"] == pytest.approx(batch * 1000)


def test_a_note_that_another_goes_on_from_is_not_said_twice() -> None:
    said = ["one process; measure again", "few", "one process", "few"]
    assert notes_text(said) == "one process; measure again; few"


def test_the_first_fifteen_columns_are_those_of_the_original() -> None:
    assert COLUMNS[:15] == (
        "num_samples",
        "variance",
        "mean_ms",
        "p50_ms",
        "p90_ms",
        "p95_ms",
        "p99_ms",
        "throughput_per_sec",
        "engine",
        "version",
        "batch_size",
        "optimizer",
        "providers",
        "device",
        "timestamp",
    )
