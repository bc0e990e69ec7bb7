"""Which rungs of a climb are marked: those after throughput stopped growing."""

from __future__ import annotations

from dataclasses import replace

from navigator_statuses import rung

import turnkey.navigator as nav
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiled import saturated


def marks(*throughputs: float) -> list[bool]:
    later = nav.OptimizationProfile()
    rule = ProfilePlan(config=later.profiler_config(), later=later).rule(batched=True)
    rungs = [replace(rung(1.0, 2**power), throughput=each) for power, each in enumerate(throughputs)]
    return [each.saturated for each in saturated(rungs, rule)]


def test_every_rung_of_grace_that_gained_nothing_is_marked_and_the_one_that_gained_last_is_not() -> None:
    assert marks(100, 200, 201, 190, 205) == [False, False, True, True, True]
    assert marks(100, 102, 104) == [False, True, True], "less than the threshold over the best"
    assert marks(100, 99, 120) == [False, False, False], "a dip that was made up for"
    assert marks(100) == [False]
