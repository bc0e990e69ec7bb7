"""The number of a (variant, round): robust, additive, and fair to both sides."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.measure.slices import Slice
from turnkey.measure.units import round_units, units_of


def timed(v: str, p: int, ns: list[int], *, inner: int = 1) -> Slice:
    return Slice(v=v, r=1, p=p, pos=0, kind="timed", t0=0, settle=None, ns=ns, inner=inner)


def row(v: str, times: list[int], *, first: int = 0) -> list[Slice]:
    """One slice of one call per pass."""
    return [timed(v, first + p, [time]) for p, time in enumerate(times)]


TIMES = st.lists(st.integers(10_000, 10_000_000), min_size=3, max_size=20)


@given(TIMES, TIMES, TIMES)
def test_differences_add_up_and_swapping_mirrors_them(a: list[int], b: list[int], c: list[int]) -> None:
    passes = min(map(len, (a, b, c)))
    units = round_units({name: row(name, times[:passes]) for name, times in (("a", a), ("b", b), ("c", c))})
    swapped = round_units({name: row(name, times[:passes]) for name, times in (("b", a), ("a", b), ("c", c))})
    assert units["a"] - units["b"] == pytest.approx(swapped["b"] - swapped["a"])
    assert units["c"] == pytest.approx(swapped["c"])


@given(TIMES, TIMES)
def test_the_difference_of_two_is_the_median_over_passes(a: list[int], b: list[int]) -> None:
    passes = min(len(a), len(b))
    units = round_units({"a": row("a", a[:passes]), "b": row("b", b[:passes])})
    expected = np.median(np.log(a[:passes]) - np.log(b[:passes]))
    assert units["a"] - units["b"] == pytest.approx(expected)


@given(TIMES, st.floats(0.1, 100.0))
def test_scaling_all_times_of_one_moves_its_unit_by_the_log_of_the_scale(times: list[int], scale: float) -> None:
    scaled = [round(time * scale) for time in times]
    units = round_units({"whole": row("whole", times), "scaled": row("scaled", scaled)})
    assert units["scaled"] - units["whole"] == pytest.approx(math.log(scale), abs=2e-3)


def test_a_burst_over_a_third_of_the_passes_moves_no_difference() -> None:
    calm, slow = [1_000_000] * 15, [1_050_000] * 15
    burst = [1.6 if 4 <= p < 9 else 1.0 for p in range(15)]
    # The burst begins and ends in the middle of a pass: one of the two is hit alone.
    hit_calm = [round(t * f) for t, f in zip(calm, burst, strict=True)]
    hit_slow = [round(t * f) for t, f in zip(slow, [*burst[1:], 1.0], strict=True)]
    units = round_units({"calm": row("calm", hit_calm), "slow": row("slow", hit_slow)})
    assert units["slow"] - units["calm"] == pytest.approx(math.log(1.05), abs=1e-6)


def test_a_variant_alone_has_the_median_of_its_slices() -> None:
    units = units_of({"a": {1: row("a", [100, 110, 500]), 2: row("a", [90, 100, 110, 120])}})
    assert math.exp(units["a"][1]) == pytest.approx(110)
    assert math.exp(units["a"][2]) == pytest.approx(math.sqrt(100 * 110))


def test_a_process_that_was_replaced_is_compared_over_the_passes_it_has() -> None:
    units = round_units({"a": row("a", [100] * 10), "late": row("late", [200] * 4, first=6)})
    assert math.exp(units["late"] - units["a"]) == pytest.approx(2)


def test_without_a_common_pass_the_levels_are_all_there_is() -> None:
    units = round_units({"a": row("a", [100] * 3), "b": row("b", [200] * 3, first=3)})
    assert math.exp(units["b"] - units["a"]) == pytest.approx(2)


def test_inner_loops_are_divided_out() -> None:
    units = round_units({"one": [timed("one", 0, [100])], "eight": [timed("eight", 0, [800], inner=8)]})
    assert units["one"] == pytest.approx(units["eight"])


def test_the_mean_objective_sees_what_the_median_does_not() -> None:
    items = {"a": [timed("a", 0, [100] * 9 + [1000])]}
    assert math.exp(round_units(items, objective="mean")["a"]) == pytest.approx(190)
    assert math.exp(round_units(items)["a"]) == pytest.approx(100)
