"""What an experiment is said to cost, against the published table and against what it then does."""

from __future__ import annotations

import pytest

from turnkey.measure import Settings, TargetDescription, cost, run_experiment, schedule
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorkers


@pytest.mark.parametrize(
    ("effort", "call_ms", "starts", "seconds"),
    [
        ("quick", 5, (2, 2), (5, 5)),
        ("standard", 5, (17, 35), (40, 80)),
        ("rigorous", 5, (17, 89), (40, 200)),
        ("quick", 500, (2, 2), (40, 40)),
        ("standard", 500, (17, 35), (300, 660)),
        ("rigorous", 500, (17, 89), (300, 1860)),
    ],
)
def test_two_variants_cost_what_the_table_says(
    effort: str, call_ms: int, starts: tuple[int, int], seconds: tuple[int, int]
) -> None:
    usual = schedule.passes_per_round(call_ms * 1e6)  # the table is of rounds that do not grow
    found = cost.estimate(Settings(effort=effort, passes=usual), [call_ms * 1e6] * 2)
    assert found.starts == starts
    assert found.seconds[0] == pytest.approx(seconds[0], rel=0.5)
    assert found.seconds[1] == pytest.approx(seconds[1], rel=0.5)


@pytest.mark.parametrize("call_ns", [5e6, 1e5, 3e8])
@pytest.mark.parametrize("candidates", [1, 2, 4])
def test_an_experiment_starts_no_more_processes_and_no_fewer_rounds_than_announced(
    call_ns: float, candidates: int
) -> None:
    names = "abcd"[:candidates]
    settings = Settings(seed=1, budget_s=1e6)
    found = cost.estimate(settings, [call_ns] * candidates)
    record = run_experiment(
        [TargetDescription(key=key, factory="simulated:only") for key in names],
        reference="a",
        settings=settings,
        workers=SimulatedWorkers(
            SimulatedHost(QUIET, seed=1), {key: call_ns * (1 + i) for i, key in enumerate(names)}
        ),
    )
    processes = len(record.run["calibration"]) + sum(len(entry["processes"]) for entry in record.run["rounds"])
    assert found.rounds[0] <= len(record.run["rounds"]) <= found.rounds[1]
    assert processes <= found.starts[1]


def test_the_longest_time_counts_rounds_that_grow_where_they_may_grow() -> None:
    grows = cost.estimate(Settings(), [5e6, 5e6])
    fixed = cost.estimate(Settings(passes=15), [5e6, 5e6])
    assert (grows.starts, grows.seconds[0]) == (fixed.starts, fixed.seconds[0])
    assert 1.2 * fixed.seconds[1] < grows.seconds[1] < 2 * fixed.seconds[1]
    quick = [cost.estimate(Settings(effort="quick", passes=passes), [5e6]) for passes in (None, 15)]
    assert quick[0] == quick[1]


def test_exact_iterations_have_one_design() -> None:
    found = cost.estimate(Settings(iterations=50), [5e6])
    assert found.rounds == (5, 5)
    assert found.seconds[0] == found.seconds[1]


def test_the_words_say_starts_and_time() -> None:
    assert str(cost.estimate(Settings(effort="quick"), [5e6])).startswith("1 round, 1 process start, about ")
    text = str(cost.estimate(Settings(), [5e8, 5e8]))
    assert "5 to 11 rounds, 17 to 35 process starts" in text
    assert text.endswith("min")
