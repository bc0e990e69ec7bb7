"""Settings at the border: efforts, looks, and values that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from turnkey.errors import UsageError
from turnkey.measure import Settings, Windows


def looks(settings: Settings) -> list[int]:
    return [n for n in range(1, settings.most_rounds + 1) if settings.is_look(n)]


def test_efforts_look_when_the_table_says() -> None:
    assert looks(Settings()) == [5, 8, 11]
    assert looks(Settings(effort="rigorous")) == [5, 8, 11, 14, 17, 20, 23, 26, 29]
    assert looks(Settings(effort="quick")) == [1]
    assert looks(Settings(max_rounds=12)) == [5, 8, 11, 12]  # the last is always a look
    assert looks(Settings(min_rounds=3, max_rounds=5, look_every=1)) == [3, 4, 5]


def test_quick_has_neither_twin_nor_calibration() -> None:
    quick, standard = Settings(effort="quick"), Settings()
    assert (quick.has_twin, quick.calibrates) == (False, False)
    assert (standard.has_twin, standard.calibrates) == (True, True)


def test_a_tail_objective_wants_enough_calls_per_round() -> None:
    assert Settings(objective="p99").passes_for(5e6) * 5 >= 368
    assert Settings(objective="p90").passes_for(60e6) * 4 >= 36
    assert Settings().passes_for(5e6) == 15


def test_a_percentile_of_each_round_takes_enough_iterations_and_says_how_many() -> None:
    assert Settings(objective="p99", iterations=1840).iterations == 1840
    assert Settings(objective="mean", iterations=7).iterations == 7
    with pytest.raises(UsageError) as refused:
        Settings(objective="p90", iterations=100)
    assert "at least 180 iterations" in str(refused.value)


def test_settings_survive_a_record() -> None:
    chosen = Settings(effort="rigorous", iterations=7, windows=Windows(mode="TIME_WINDOWS", max_trials=3))
    assert Settings.from_json(chosen.to_json()) == chosen
    assert Settings.from_json({**chosen.to_json(), "of_a_later_version": 1}) == chosen


@pytest.mark.parametrize(
    "wrong",
    [
        {"effort": "heroic"},
        {"objective": "p42"},
        {"objective": "p99", "effort": "quick"},
        {"objective": "p99", "iterations": 1839},
        {"objective": "p90", "iterations": 500, "iteration_seconds": 1.0},  # which may leave ten of them
        {"iterations": 0},
        {"iterations": 2.5},
        {"iterations": True},
        {"threads": -1},
        {"alpha": 1.0},
        {"alpha": float("nan")},
        {"delta": 0.0},
        {"delta": float("inf")},
        {"precision": "small"},
        {"budget_s": float("inf")},
        {"seed": -1},
        {"seed": 1.5},
        {"step_timeout_s": float("nan")},
        {"look_every": 0},
    ],
)
def test_a_limit_that_would_disarm_a_gate_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Settings(**wrong)
