"""Differences count what they say they count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.mlf.difference import Difference, difference


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_neighbours_are_one_step_apart_over_zero_too(dtype: type) -> None:
    one = np.array([1.0, -1.0, 0.0, -0.0], dtype)
    assert difference(one, np.nextafter(one, dtype(np.inf))).max_ulp == 1
    tiny = np.nextafter(np.array([0.0], dtype), dtype(1))
    assert difference(tiny, -tiny).max_ulp == 2
    assert difference(np.array([0.0], dtype), np.array([-0.0], dtype)).max_ulp == 0


@given(st.lists(st.floats(-1e6, 1e6, width=32), min_size=1, max_size=9))
def test_nothing_differs_from_itself(values: list[float]) -> None:
    array = np.array(values, np.float32)
    assert difference(array, array) == Difference(max_ulp=0)


def test_relative_means_relative_to_the_largest_reference_value() -> None:
    found = difference(np.array([0.0, 10.0], np.float32), np.array([1.0, 10.0], np.float32))
    assert (found.max_abs, found.max_rel) == (1.0, 0.1)
    assert difference(np.array([3]), np.array([4])) == Difference(max_abs=1.0, max_rel=pytest.approx(1 / 3))
    assert difference(np.array([np.nan]), np.array([1.0])) == Difference()


def test_the_larger_of_each_is_kept() -> None:
    joined = Difference(max_abs=1.0, max_rel=0.1, max_ulp=3).joined(Difference(max_abs=0.5, max_rel=0.2))
    assert joined == Difference(max_abs=1.0, max_rel=0.2, max_ulp=3)
