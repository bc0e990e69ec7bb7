"""The window predicates equal a plain re-implementation of the documented rule on the same samples."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import UsageError
from turnkey.measure import windows
from turnkey.measure.plan import Windows

TIMES = st.lists(st.floats(0.5e6, 4e6), min_size=1, max_size=120)
RULES = st.builds(
    Windows,
    mode=st.sampled_from(["COUNT_WINDOWS", "TIME_WINDOWS"]),
    measurement_request_count=st.integers(1, 12),
    measurement_interval=st.floats(1.0, 20.0),
    stability_percentage=st.floats(0.5, 60.0),
    max_trials=st.integers(1, 12),
    stabilization_windows=st.one_of(st.none(), st.integers(1, 5)),
    min_trials=st.one_of(st.none(), st.integers(1, 6)),
)


def documented(times: list[float], rule: Windows) -> tuple[bool, int | None]:
    """The rule as its documentation says it, call by call."""
    window: list[float] = []
    means: list[float] = []
    k = min(3, rule.max_trials)
    if rule.stabilization_windows is not None:
        k = min(rule.stabilization_windows, rule.max_trials)
    for time in times:
        window.append(time)
        full = (
            len(window) == rule.measurement_request_count
            if rule.mode == "COUNT_WINDOWS"
            else sum(window) >= rule.measurement_interval * 1e6
        )
        if not full:
            continue
        means.append(sum(window) / len(window) / 1e6)
        window = []
        if len(means) > rule.max_trials:
            return False, None
        if len(means) >= max(k, rule.min_trials or 0):
            last = means[-k:]
            average = sum(last) / k
            if all(abs(m - average) / average * 100 < rule.stability_percentage for m in last):
                return True, len(means)
    return False, None


@given(TIMES, RULES)
def test_stability_and_its_trial_are_those_of_the_documented_rule(times: list[float], rule: Windows) -> None:
    whole = [float(round(time)) for time in times]
    found = windows.stability(whole, rule)
    assert (found.stable, found.stable_at) == documented(whole, rule)


def test_three_windows_that_agree_are_stable_at_the_third() -> None:
    found = windows.stability([1e6] * 150, Windows())
    assert (found.stable, found.stable_at, found.trials) == (True, 3, 3)
    assert found.last_means_ms == (1.0, 1.0, 1.0)


def test_a_mean_exactly_at_the_percentage_is_not_stable() -> None:
    # means 0.9, 1.0, 1.1: the outer ones deviate by exactly 10 %
    times = [0.9e6] * 2 + [1.0e6] * 2 + [1.1e6] * 2
    strict = Windows(measurement_request_count=2, stability_percentage=10.0 - 1e-9)
    wider = Windows(measurement_request_count=2, stability_percentage=10.1)
    assert not windows.stability(times, strict).stable
    assert windows.stability(times, wider).stable


def test_an_incomplete_window_does_not_count() -> None:
    assert windows.stability([1e6] * 149, Windows()).trials == 2


def test_windows_after_the_last_trial_are_not_looked_at() -> None:
    rule = Windows(measurement_request_count=1, max_trials=3)
    found = windows.stability([1e6, 2e6, 3e6, 3e6, 3e6, 3e6], rule)
    assert not found.stable
    assert windows.is_exhausted(found, rule)


@pytest.mark.parametrize(
    "wrong", [{"measurement_interval": float("nan")}, {"max_trials": 0}, {"mode": "OTHER"}, {"min_trials": -1}]
)
def test_limits_that_would_disarm_the_rule_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(UsageError):
        Windows(**wrong)
