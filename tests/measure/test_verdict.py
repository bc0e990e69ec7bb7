"""Verdicts from known intervals, their mirror, and what UNDECIDED lacks."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.measure import statistics, verdict
from turnkey.measure.plan import Settings
from turnkey.measure.statistics import Interval
from turnkey.measure.verdict import Kind

SETTINGS = Settings()
BOUNDS = st.tuples(st.floats(-1, 1), st.floats(0, 0.5)).map(
    lambda pair: Interval(mean=pair[0], low=pair[0] - pair[1], high=pair[0] + pair[1], n=5)
)


def spread(center: float, width: float = 0.001) -> list[float]:
    return [center + width * step for step in (-2, -1, 0, 1, 2)]


@given(BOUNDS, st.floats(0, 0.2))
def test_swapping_the_variants_mirrors_the_verdict(difference: Interval, floor: float) -> None:
    mirrored = Interval(mean=-difference.mean, low=-difference.high, high=-difference.low, n=difference.n)
    there = verdict.verdict_of(difference, key="a", reference="b", level=0.05, floor=floor, settings=SETTINGS)
    back = verdict.verdict_of(mirrored, key="b", reference="a", level=0.05, floor=floor, settings=SETTINGS)
    assert back.kind is {Kind.FASTER: Kind.SLOWER, Kind.SLOWER: Kind.FASTER}.get(there.kind, there.kind)
    assert back.negligible == there.negligible
    assert back.ratio == pytest.approx(1 / there.ratio)
    assert (back.low, back.high) == (pytest.approx(1 / there.high), pytest.approx(1 / there.low))


@pytest.mark.parametrize(
    ("mean", "half", "floor", "kind"),
    [
        (0.10, 0.02, 0.0, Kind.SLOWER),
        (-0.10, 0.02, 0.0, Kind.FASTER),
        (0.001, 0.005, 0.0, Kind.SAME),
        (0.01, 0.05, 0.0, Kind.UNDECIDED),
        (0.10, 0.02, 0.15, Kind.UNDECIDED),  # not above what the host makes of nothing
        (0.012, 0.004, 0.02, Kind.SAME),  # within noise, yet inside delta
    ],
)
def test_the_first_of_slower_faster_same_that_holds_is_the_verdict(
    mean: float, half: float, floor: float, kind: Kind
) -> None:
    interval = Interval(mean=mean, low=mean - half, high=mean + half, n=5)
    assert verdict.decide(interval, floor=floor, delta=0.02) is kind


def test_a_difference_inside_delta_is_negligible_and_a_tie() -> None:
    found = verdict.verdict_of(
        Interval(mean=0.01, low=0.005, high=0.015, n=11),
        key="a",
        reference="b",
        level=0.05,
        floor=0.0,
        settings=SETTINGS,
    )
    assert found.kind is Kind.SLOWER
    assert found.negligible
    assert found.is_tie


def test_undecided_says_how_many_rounds_it_lacks() -> None:
    # half-width 0.05 at 5 rounds: t*s = 0.1118; to tell 0.03 apart about (0.1118/0.03)² = 13.9 rounds
    found = verdict.verdict_of(
        Interval(mean=0.03, low=-0.02, high=0.08, n=5), key="a", reference="b", level=0.05, floor=0, settings=SETTINGS
    )
    assert found.kind is Kind.UNDECIDED
    assert found.notes == ("about 9 more rounds to tell them apart",)


def test_a_twin_that_differs_beyond_delta_and_doubt_is_a_biased_host() -> None:
    assert verdict.noise_floor(spread(0.05), k=1, delta=0.02).is_biased
    assert not verdict.noise_floor(spread(0.01), k=1, delta=0.02).is_biased  # small
    assert not verdict.noise_floor([0.2, -0.1, 0.15, -0.05, 0.1], k=1, delta=0.02).is_biased  # uncertain


def test_quick_claims_only_what_lies_wholly_beyond_ten_percent() -> None:
    def judged(*differences: float) -> verdict.Verdict:
        interval = statistics.bootstrap_interval(differences, level=0.05, seed=0)
        return verdict.judge_single(interval, key="a", reference="b", settings=SETTINGS)

    assert judged(*[0.2, 0.21, 0.19] * 5).kind is Kind.SLOWER
    small = judged(*[0.05, 0.06, 0.05] * 5)
    assert small.kind is Kind.UNDECIDED
    assert any("effort standard" in note for note in small.notes)
    assert judged(*[0.0] * 15).kind is Kind.UNDECIDED  # never SAME


def test_variants_that_never_stood_in_one_round_are_compared_through_the_yardstick() -> None:
    given_units = {
        "stick": {r: 0.1 * r for r in range(1, 11)},
        "a": {r: 0.1 * r + 0.3 + 0.001 * (r % 3) for r in range(1, 11, 2)},
        "b": {r: 0.1 * r + 0.5 + 0.001 * (r % 3) for r in range(2, 11, 2)},
    }
    found = verdict.difference(given_units, "a", "b", level=0.05, yardstick="stick")
    assert found is not None
    assert found.mean == pytest.approx(-0.2, abs=0.01)
    assert found.high < 0
    bare = verdict.difference(given_units, "a", "b", level=0.05)
    assert bare is not None
    assert bare.low < -0.2 < bare.high
    assert bare.half_width > 10 * found.half_width
    assert math.isfinite(bare.half_width)


@pytest.mark.parametrize(
    ("low", "high", "floor", "said"),
    [(0.06, 0.10, 0.0, True), (0.06, 0.10, 0.09, None), (0.04, 0.10, 0.0, None), (0.01, 0.04, 0.09, False)],
)
def test_a_limit_is_exceeded_only_by_what_stands_out_of_the_noise_floor(
    low: float, high: float, floor: float, said: bool | None
) -> None:
    difference = Interval(mean=(low + high) / 2, low=low, high=high, n=5)
    assert verdict.exceeds(difference, limit=math.expm1(0.05), floor=floor) is said
