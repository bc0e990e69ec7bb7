"""Order, sizes and exact counts of the schedule."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.measure import schedule
from turnkey.measure.schedule import SliceSize


@given(st.integers(1, 7), st.integers(0, 2**32), st.integers(0, 50))
def test_in_every_square_each_name_stands_in_each_position_once(count: int, seed: int, square: int) -> None:
    names = [f"v{i}" for i in range(count)]
    rows = [schedule.order(names, seed=seed, index=square * count + i) for i in range(count)]
    for position in range(count):
        assert sorted(row[position] for row in rows) == names
    for row in rows:
        assert sorted(row) == names


def test_orders_differ_between_squares_and_repeat_with_the_seed() -> None:
    names = ["a", "b", "c", "d"]
    orders = [schedule.order(names, seed=1, index=i) for i in range(80)]
    assert len(set(orders)) > 15
    assert orders == [schedule.order(names, seed=1, index=i) for i in range(80)]
    followers = Counter((a, b) for row in orders for a, b in pairwise(row))
    assert len(followers) == 12  # everyone follows everyone


@pytest.mark.parametrize(
    ("call_ms", "size", "passes"),
    [
        (0.005, SliceSize(entries=1000, inner=4), 15),
        (1, SliceSize(entries=20), 15),
        (5, SliceSize(entries=5), 15),
        (60, SliceSize(entries=4), 15),
        (500, SliceSize(entries=1), 10),
        (5000, SliceSize(entries=1), 8),
    ],
)
def test_slices_last_20_to_250_ms_or_one_call(call_ms: float, size: SliceSize, passes: int) -> None:
    assert schedule.slice_size(call_ms * 1e6) == size
    assert schedule.passes_per_round(call_ms * 1e6) == passes


@given(st.integers(1, 5000), st.integers(1, 11), st.floats(1e3, 1e10))
def test_a_fixed_plan_has_exactly_the_calls_that_were_asked(iterations: int, rounds: int, call_ns: float) -> None:
    plan = schedule.fixed_slices(iterations, rounds=rounds, size=schedule.slice_size(call_ns))
    assert sum(map(sum, plan)) == iterations
    assert all(entries >= 1 for slices in plan for entries in slices)
    assert len(plan) == min(rounds, iterations)


@given(st.integers(0, 2**32), st.integers(1, 40), st.integers(0, 9))
def test_the_pad_is_random_bounded_and_reproducible(seed: int, round_: int, position: int) -> None:
    found = schedule.pad(seed=seed, round_=round_, position=position)
    assert 0 <= found <= 4096
    assert found == schedule.pad(seed=seed, round_=round_, position=position)
