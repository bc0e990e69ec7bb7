"""Warm-up on sequences whose course is known."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import pytest

from turnkey.measure import warmup
from turnkey.measure.slices import Slice
from turnkey.measure.warmup import Course

MS = 1e6


def calls(
    decay: float, *, extra: float = 0.8, noise: float = 0.02, seed: int = 0, ms: float = 5
) -> Callable[[int], Sequence[int]]:
    """A process that starts (1 + extra) times slower and decays over ``decay`` calls."""
    generator = np.random.default_rng(seed)
    done = 0

    def take(count: int) -> list[int]:
        nonlocal done
        at = done + np.arange(count)
        done += count
        curve = 1 + extra * np.exp(-at / decay)
        return [int(value) for value in ms * MS * curve * np.exp(generator.normal(0, noise, count))]

    return take


def test_stationary_calls_are_calibrated_in_about_a_hundred() -> None:
    counts = [len(warmup.calibrate(calls(1, extra=0, seed=s), call_ns=5 * MS).ns) for s in range(40)]
    assert np.median(counts) <= 100
    assert np.quantile(counts, 0.95) <= 300


def test_one_look_at_which_calls_are_no_faster_is_not_enough() -> None:
    found = warmup.calibrate(calls(1, extra=0, noise=0), call_ns=5 * MS)
    assert found.settled
    assert len(found.ns) == math.ceil(warmup.first_calls(5 * MS) * warmup.GROWTH)


def test_calls_to_steady_grow_with_the_decay() -> None:
    steady = [
        np.median([warmup.calibrate(calls(d, seed=s), call_ns=5 * MS).n_warm for s in range(15)]) for d in (5, 30, 80)
    ]
    assert steady[0] < steady[1] < steady[2]


def test_warming_a_decay_of_thirty_calls_leaves_little() -> None:
    left = []
    for seed in range(40):
        n_warm = warmup.calibrate(calls(30, seed=seed), call_ns=5 * MS).n_warm
        done = warmup.warm(calls(30, seed=seed + 100), call_ns=5 * MS, n_warm=n_warm)
        left.append(0.8 * np.exp(-len(done.ns) / 30))
    assert np.median(left) < 0.01


def test_what_never_stops_getting_faster_hits_the_cap_and_says_so() -> None:
    def faster_and_faster(count: int) -> list[int]:
        nonlocal now
        taken = []
        for _ in range(count):
            now *= 0.998
            taken.append(int(now))
        return taken

    now = 1e12
    found = warmup.calibrate(faster_and_faster, call_ns=5 * MS, cap_calls=300)
    assert not found.settled
    now = 1e9
    assert not warmup.warm(faster_and_faster, call_ns=5 * MS, n_warm=10, cap_calls=300).settled


def test_very_slow_calls_are_warmed_twice_and_labelled_untested() -> None:
    found = warmup.warm(lambda n: [int(3e9)] * n, call_ns=3e9, n_warm=0)
    assert (len(found.ns), found.untested) == (2, True)


def test_very_short_calls_warm_for_a_fifth_of_a_second_without_being_called_unsteady() -> None:
    found = warmup.warm(lambda n: [10_000] * n, call_ns=1e4, n_warm=0)
    assert found.settled
    assert sum(found.ns) >= 0.2e9


@pytest.mark.parametrize(
    ("levels", "label"),
    [
        ([1.0] * 6, Course.FLAT),
        ([1.5, 1.2, 1.0, 1.0, 1.0, 1.0], Course.WARM_UP),
        ([1.0, 1.0, 1.3, 1.3, 1.3, 1.3], Course.SLOWDOWN),
        ([1.0, 1.0, 1.0, 1.0, 1.0, 1.4], Course.NO_STEADY_STATE),
    ],
)
def test_change_points_label_the_course_of_a_process(levels: list[float], label: Course) -> None:
    generator = np.random.default_rng(1)
    times = [int(1e6 * level * np.exp(generator.normal(0, 0.01))) for level in levels for _ in range(40)]
    assert warmup.course([times]) is label


def test_processes_that_disagree_are_inconsistent() -> None:
    generator = np.random.default_rng(1)
    flat = [int(1e6 * np.exp(generator.normal(0, 0.01))) for _ in range(200)]
    falling = [int(value * (1.5 if i < 80 else 1)) for i, value in enumerate(flat)]
    assert warmup.course([flat, falling]) is Course.INCONSISTENT


def test_change_points_are_found_where_the_level_jumps() -> None:
    generator = np.random.default_rng(2)
    values = np.concatenate([generator.normal(100, 1, 70), generator.normal(110, 1, 130)])
    (point,) = warmup.change_points(values)
    assert abs(point - 70) <= 2
    assert warmup.change_points(generator.normal(100, 1, 200)) == ()


def rounds_of(drifts: dict[str, float], *, rounds: int = 6) -> dict[int, dict[str, list[Slice]]]:
    """Fifteen passes a round in which each name changes by its drift (log) from first to last."""
    generator = np.random.default_rng(3)
    return {
        r: {
            name: [
                Slice(
                    v=name,
                    r=r,
                    p=p,
                    pos=0,
                    kind="timed",
                    t0=0,
                    settle=1,
                    ns=tuple(int(1e7 * np.exp(drift * p / 14 + generator.normal(0, 0.002))) for _ in range(5)),
                )
                for p in range(15)
            ]
            for name, drift in drifts.items()
        }
        for r in range(1, rounds + 1)
    }


def test_a_variant_that_went_on_getting_faster_is_found_beside_steady_peers() -> None:
    rounds = rounds_of({"warming": -0.05, "steady": 0.0, "warming~twin": -0.05})
    assert warmup.still_warming(rounds, "warming", twin="warming~twin")
    assert not warmup.still_warming(rounds, "steady", twin="steady~twin")


def test_a_drift_of_the_whole_host_is_nobodys_warm_up() -> None:
    rounds = rounds_of({"a": -0.05, "b": -0.05})
    assert not warmup.still_warming(rounds, "a")
