"""The engine, unchanged, on simulated hosts whose truth is known: small N, wide bounds.

``benchmarks/simulate.py`` prints the same figures at full size.
"""

from __future__ import annotations

from collections import Counter

import pytest
from simulated_records import simulated_record

from turnkey.measure import Record
from turnkey.measure.simulated import HOSTS

N = 24


def experiment(
    host: str, times_ms: dict[str, float], *, seed: int, reference: str | None = "a", **settings: object
) -> Record:
    return simulated_record(times_ms, reference=reference, seed=seed, noise=HOSTS[host], budget_s=1e6, **settings)


def verdicts(host: str, ratio: float, effort: str, *, experiments: int = N) -> Counter[str]:
    found: Counter[str] = Counter()
    for seed in range(experiments):
        verdict = experiment(host, {"a": 5.0, "b": 5.0 * ratio}, seed=seed, effort=effort).verdict("b")
        assert verdict is not None
        found[verdict.kind] += 1
    return found


@pytest.mark.parametrize("host", HOSTS)
def test_equal_variants_are_seldom_told_apart(host: str) -> None:
    found = verdicts(host, 1.00, "standard")
    assert found["FASTER"] + found["SLOWER"] <= 0.125 * N  # 3 % expected; 4 of 24 has probability below 1 %


@pytest.mark.parametrize("host", HOSTS)
def test_five_percent_is_found_and_its_direction_is_right(host: str) -> None:
    found = verdicts(host, 1.05, "standard")
    assert found["SLOWER"] >= 0.9 * N
    assert found["FASTER"] == 0


NIGHTLY_N = 100
FOUND = {
    (1.02, "rigorous"): (98, 93, 80),
    (1.02, "standard"): (81, 53, 45),
    (1.03, "rigorous"): (99, 100, 99),
    (1.03, "standard"): (99, 89, 77),
    (1.05, "rigorous"): (100, 100, 100),
    (1.05, "standard"): (100, 99, 99),
}
"""Percent SLOWER on the quiet, the bursty and the heavy host, as docs/measuring.md has it."""


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("place", range(3), ids=list(HOSTS))
@pytest.mark.parametrize(("ratio", "effort"), FOUND)
def test_the_table_of_operating_characteristics_holds(ratio: float, effort: str, place: int) -> None:
    found = verdicts(list(HOSTS)[place], ratio, effort, experiments=NIGHTLY_N)
    assert found["FASTER"] <= 1
    assert found["SLOWER"] >= FOUND[ratio, effort][place] - 15  # N = 100 leaves ± 10 on middle shares


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("effort", ["standard", "rigorous"])
@pytest.mark.parametrize("host", HOSTS)
def test_equal_variants_are_told_apart_in_at_most_alpha_and_what_chance_adds(host: str, effort: str) -> None:
    found = verdicts(host, 1.00, effort, experiments=NIGHTLY_N)
    assert found["FASTER"] + found["SLOWER"] <= 10  # 5 % by design; more than 10 of 100 has probability 1 %
    assert found["SAME"] + found["UNDECIDED"] >= 90


@pytest.mark.nightly
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("host", HOSTS)
def test_the_best_of_six_is_named_on_every_host(host: str) -> None:
    times = {f"v{i}": 5.0 * ratio for i, ratio in enumerate((1.0, 1.021, 1.04, 1.08, 1.15, 1.3))}
    right = 0
    for seed in range(NIGHTLY_N // 2):
        right += experiment(host, times, seed=seed, reference=None, effort="rigorous").fastest == "v0"
    assert right >= 0.9 * (NIGHTLY_N // 2)  # by design it is dropped in at most 5 %


def test_two_percent_is_found_on_a_quiet_host_with_rigorous_effort() -> None:
    found = verdicts("quiet", 1.02, "rigorous")
    assert found["SLOWER"] >= 0.85 * N
    assert found["FASTER"] == 0


def test_equality_is_proved_on_a_quiet_host_with_rigorous_effort() -> None:
    assert verdicts("quiet", 1.00, "rigorous")["SAME"] >= 0.85 * N


def test_the_best_of_six_is_named_on_a_heavy_host_and_the_slow_ones_leave_early() -> None:
    times = {f"v{i}": 5.0 * ratio for i, ratio in enumerate((1.0, 1.021, 1.04, 1.08, 1.15, 1.3))}
    for seed in range(6):
        record = experiment("heavy", times, seed=seed, reference=None, effort="rigorous")
        assert record.fastest == "v0"
        assert len(record.units["v5"]) < len(record.units["v0"])


def test_swapping_the_order_in_which_variants_are_given_changes_no_direction() -> None:
    for seed in range(5):
        there = experiment("bursty", {"a": 5.0, "b": 5.5}, seed=seed).verdict("b")
        back = experiment("bursty", {"b": 5.5, "a": 5.0}, seed=seed).verdict("b")
        assert there is not None
        assert back is not None
        assert there.kind is back.kind


def test_scaling_all_times_changes_no_verdict() -> None:
    # 5 and 6 ms share the slice size, so the same seed draws the same noise
    found = [experiment("bursty", {"a": t, "b": 1.03 * t}, seed=7).verdict("b") for t in (5.0, 6.0)]
    assert found[0] is not None
    assert found[1] is not None
    assert found[0].kind is found[1].kind
    assert found[0].ratio == pytest.approx(found[1].ratio, rel=1e-3)


def test_one_variant_alone_stops_at_the_precision() -> None:
    loose = experiment("quiet", {"a": 5.0}, seed=1, precision=0.05)
    tight = experiment("quiet", {"a": 5.0}, seed=1, precision=0.003)
    assert len(loose.run["rounds"]) < len(tight.run["rounds"])
    summary = loose.summary("a")
    assert summary.low_ms is not None
    assert summary.high_ms is not None
    assert summary.low_ms < 5.1
    assert summary.high_ms > 4.9


def test_iterations_are_spread_over_the_rounds_exactly() -> None:
    record = experiment("quiet", {"a": 5.0, "b": 6.0}, seed=1, iterations=103)
    assert record.summary("a").timed_calls == record.summary("b").timed_calls == 103
    assert record.summary("a").rounds == 5


def test_the_twin_shows_what_the_host_makes_of_nothing() -> None:
    floors = [experiment("bursty", {"a": 5.0, "b": 6.0}, seed=s).noise_floor for s in range(12)]
    assert all(floor is not None and 0 <= floor < 0.05 for floor in floors)


def test_the_levels_of_all_looks_of_an_experiment_sum_to_at_most_alpha() -> None:
    record = experiment("heavy", {"a": 5.0, "b": 5.02, "c": 5.03}, seed=3, effort="rigorous")
    pairs = 2
    assert len(record.run["looks"]) >= 2
    assert sum(look["level"] * pairs for look in record.run["looks"]) <= record.settings.alpha
