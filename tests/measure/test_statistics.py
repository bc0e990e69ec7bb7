"""Statistics against published tables and their properties."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import MeasurementInvalid
from turnkey.measure import statistics
from turnkey.measure.slices import Slice

SAMPLES = st.lists(st.floats(1.0, 1e9), min_size=6, max_size=200)


def timed(ns: list[int], *, r: int = 1, p: int = 0, inner: int = 1) -> Slice:
    return Slice(v="a", r=r, p=p, pos=0, kind="timed", t0=0, settle=1, ns=tuple(ns), inner=inner)


@pytest.mark.parametrize(
    ("freedom", "level", "published"),
    [(1, 0.05, 12.706), (4, 0.05, 2.776), (10, 0.01, 3.169), (28, 0.05, 2.048), (4, 0.02, 3.747), (120, 0.05, 1.980)],
)
def test_t_limits_are_those_of_the_published_table(freedom: int, level: float, published: float) -> None:
    assert statistics.t_quantile(freedom, level) == pytest.approx(published, abs=5e-4)


@pytest.mark.parametrize(("q", "fewest"), [(0.5, 6), (0.9, 36), (0.95, 72), (0.99, 368), (0.999, 3688)])
def test_a_percentile_is_printed_only_where_an_order_statistic_interval_exists(q: float, fewest: int) -> None:
    assert statistics.fewest_for_quantile(q) == fewest
    values = np.arange(1.0, fewest + 1)
    assert statistics.percentile([values[:-1]], q) is None
    assert statistics.percentile([values], q) is not None


@pytest.mark.parametrize(("n", "low", "high"), [(6, 1, 6), (10, 2, 9), (15, 4, 12), (20, 6, 15), (50, 18, 33)])
def test_order_statistic_limits_of_the_median_are_the_published_ranks(n: int, low: int, high: int) -> None:
    found = statistics.order_interval(np.arange(1.0, n + 1), 0.5)
    assert found is not None
    assert (found.low, found.high) == (low, high)


@given(SAMPLES)
def test_percentiles_are_monotone_and_inside_the_sample(values: list[float]) -> None:
    array = np.asarray(values)
    found = [statistics.quantile(array, q) for q in (0.1, 0.5, 0.9, 0.99)]
    assert found == sorted(found)
    assert array.min() <= found[0]
    assert found[-1] <= array.max()


@given(st.lists(st.floats(1.0, 1e9), min_size=1, max_size=30))
def test_the_median_of_few_values_is_numpys(values: list[float]) -> None:
    assert statistics.median(values) == pytest.approx(float(np.median(values)))


def test_quantiles_follow_definition_8() -> None:
    # Hyndman & Fan 1996: position (n + 1/3) q + 1/3
    assert statistics.quantile(np.array([1.0, 2.0, 3.0, 4.0]), 0.25) == pytest.approx(
        1 + (4.3333 * 0.25 + 0.3333 - 1), abs=1e-3
    )


@given(st.floats(0.001, 0.2), st.integers(1, 8))
def test_the_levels_of_all_looks_sum_to_at_most_alpha(alpha: float, pairs: int) -> None:
    total = sum(statistics.spending(k, alpha, pairs) for k in range(1, 2000)) * pairs
    assert total <= alpha
    assert total > 0.99 * alpha


def test_outliers_are_counted_by_their_fence() -> None:
    values = np.array([10.0] * 50 + [11.0] * 50 + [12.6, 12.7] + [99.0])
    found = statistics.outliers(values)
    assert (found.mild, found.severe) == (2, 1)


def test_welch_agrees_with_the_textbook_formula() -> None:
    from scipy import stats

    a, b = [1.0, 1.2, 0.9, 1.4], [1.5, 1.6, 1.55, 1.7, 1.52]
    expected = stats.ttest_ind(a, b, equal_var=False).confidence_interval(0.95)
    found = statistics.welch_interval(a, b, level=0.05)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))


@pytest.mark.parametrize(
    ("ns", "inner", "median"), [([10, 2, 1], 1, 2.0), ([10, 2, 1, 3], 1, 2.5), ([8, 2, 4], 4, 1.0)]
)
def test_a_slice_is_the_log_of_its_median_call(ns: list[int], inner: int, median: float) -> None:
    assert statistics.slice_log(timed(ns, inner=inner)) == pytest.approx(np.log(median))


def test_the_interval_of_a_mean_is_students() -> None:
    found = statistics.t_interval([1.0, 2.0, 3.0, 4.0, 5.0], level=0.05)
    half = 2.776445 * np.sqrt(2.5) / np.sqrt(5)  # t of 4 degrees of freedom; the variance divides by 4
    assert (found.low, found.mean, found.high, found.n) == pytest.approx((3 - half, 3.0, 3 + half, 5))


def test_the_bootstrap_bounds_are_where_the_median_of_resamples_lies_by_the_binomial() -> None:
    # Of 31 values the median of a resample is at most the tenth with probability 0.0197, the eleventh with 0.0479.
    found = statistics.bootstrap_interval(range(1, 32), level=0.05, seed=0)
    assert (found.low, found.mean, found.high) == (11, 16, 21)


def test_the_bootstrap_encloses_the_median_and_reproduces() -> None:
    values = [0.1, 0.12, 0.09, 0.3, 0.11]
    found = statistics.bootstrap_interval(values, level=0.05, seed=3)
    assert found == statistics.bootstrap_interval(values, level=0.05, seed=3)
    assert found.low < np.median(values) == found.mean < found.high


def test_binomial_limits_are_those_of_clopper_and_pearson() -> None:
    low, high = statistics.binomial_interval(2, 40)
    assert (low, high) == (pytest.approx(0.0061, abs=1e-4), pytest.approx(0.1692, abs=1e-4))


def test_an_interval_of_one_unit_or_of_a_nan_is_refused() -> None:
    for units in ([1.0], [1.0, float("nan")]):
        with pytest.raises(MeasurementInvalid, match="two finite units"):
            statistics.t_interval(units, level=0.05)


def test_with_five_rounds_that_suffice_a_percentile_varies_over_rounds() -> None:
    generator = np.random.default_rng(0)
    rounds = [generator.normal(100 + 10 * r, 0.1, 40) for r in range(5)]
    found = statistics.percentile(rounds, 0.5)
    assert found is not None
    assert found.high - found.low > 20  # between rounds, not the 0.1 within one
