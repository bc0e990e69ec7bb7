"""Which rung comes next, and why the climb ends."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import UsageError
from turnkey.measure import ladder
from turnkey.measure.ladder import LadderRule, Rung
from turnkey.measure.statistics import Interval

MIB = 1 << 20


def rungs(*throughputs: float, peaks: tuple[int, ...] = ()) -> list[Rung]:
    return [
        Rung(batch=2**i, throughput=value, peak_bytes=peaks[i] if peaks else None)
        for i, value in enumerate(throughputs)
    ]


def test_rungs_are_the_given_sizes_ascending_or_the_powers_of_two() -> None:
    assert list(ladder.sizes(LadderRule(batch_sizes=(8, 1, 4, 4)))) == [1, 4, 8]
    assert list(islice(ladder.sizes(LadderRule()), 5)) == [1, 2, 4, 8, 16]
    assert list(ladder.sizes(LadderRule(max_batch_size=100))) == [1, 2, 4, 8, 16, 32, 64, 100]
    assert list(ladder.sizes(LadderRule(max_batch_size=64))) == [1, 2, 4, 8, 16, 32, 64]


def test_the_climb_ends_after_the_first_rung_without_gain_which_is_kept() -> None:
    rule = LadderRule()
    assert ladder.next_rung(rungs(100, 190), rule).batch == 4
    step = ladder.next_rung(rungs(100, 190, 195), rule)
    assert step.batch is None
    assert "batch 4" in step.reason


@pytest.mark.parametrize("threshold", [None, -1.0, -2.0])
def test_a_threshold_of_none_or_minus_one_never_stops(threshold: float | None) -> None:
    rule = LadderRule(throughput_cutoff_threshold=threshold)
    assert ladder.next_rung(rungs(100, 50, 10), rule).batch == 8


def test_the_later_generation_grants_rungs_of_grace_against_the_best() -> None:
    rule = LadderRule(throughput_backoff_limit=2)
    assert ladder.next_rung(rungs(100, 100, 100), rule).batch == 8
    assert ladder.next_rung(rungs(100, 100, 100, 100), rule).batch is None
    assert ladder.next_rung(rungs(100, 100, 120, 121), rule).batch == 16


@given(st.lists(st.floats(1, 1000), min_size=2, max_size=10), st.floats(-0.9, 0.5), st.integers(0, 3))
def test_saturation_equals_a_plain_reading_of_the_rule(values: list[float], threshold: float, backoff: int) -> None:
    earlier = values[-1] < values[-2] * (1 + threshold)
    assert ladder.is_saturated(rungs(*values), LadderRule(throughput_cutoff_threshold=threshold)) == earlier
    best, grace, stopped = values[0], backoff, False
    for value in values[1:]:
        if value >= best * (1 + threshold):
            best, grace = value, backoff
        elif grace == 0:
            stopped = True
            break
        else:
            grace -= 1
    rule = LadderRule(throughput_cutoff_threshold=threshold, throughput_backoff_limit=backoff)
    assert ladder.is_saturated(rungs(*values), rule) == stopped


def test_a_rung_that_would_not_fit_into_memory_is_never_tried() -> None:
    measured = rungs(100, 200, 400, peaks=(100 * MIB, 150 * MIB, 250 * MIB))
    assert ladder.predicted_bytes(measured, 8) == pytest.approx(450 * MIB)
    step = ladder.next_rung(measured, LadderRule(), free_bytes=400 * MIB)
    assert step.batch is None
    assert "450 MiB of 400 MiB" in step.reason
    assert ladder.next_rung(measured, LadderRule(), free_bytes=500 * MIB).batch == 8


def test_a_gain_in_doubt_earns_one_more_rung_which_is_marked() -> None:
    doubtful = Rung(batch=2, throughput=103, gain=Interval(mean=1.03, low=0.98, high=1.08, n=5))
    step = ladder.next_rung([Rung(batch=1, throughput=100), doubtful], LadderRule())
    assert (step.batch, step.extra) == (4, True)
    more = Rung(batch=4, throughput=104, extra=True)
    assert ladder.next_rung([Rung(batch=1, throughput=100), doubtful, more], LadderRule()).batch is None


def test_throughput_of_a_rung_averages_over_windows() -> None:
    assert ladder.throughput([1.0, 2.0], 4) == pytest.approx((4000 + 2000) / 2)


def test_sizes_and_thresholds_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="from 1"):
        LadderRule(batch_sizes=(0, 1))
    with pytest.raises(UsageError, match="finite"):
        LadderRule(throughput_cutoff_threshold=float("nan"))
