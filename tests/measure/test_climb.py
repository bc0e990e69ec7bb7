"""The ladder of batch sizes, climbed by the unchanged engine on a simulated host."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from turnkey.errors import InputError, UsageError
from turnkey.measure import (
    LadderRule,
    Record,
    Settings,
    Stop,
    TargetDescription,
    Windows,
    climb,
    run_experiment,
    run_ladder,
)
from turnkey.measure.budget import Budget
from turnkey.measure.simulated import QUIET, Noise, SimulatedHost, SimulatedWorkers

QUICK = Settings(effort="quick", seed=1, budget_s=1e6)
MIB = 1 << 20


def saturating(limit: int) -> Callable[[int], float]:
    """Nanoseconds of a call: batches up to ``limit`` cost the same, larger ones in proportion."""
    return lambda batch: 5e6 * max(1.0, batch / limit)


class Hill:
    """Candidates whose calls take ``times[key](batch)`` ns; counts the experiments."""

    def __init__(
        self,
        times: Mapping[str, Callable[[int], float]],
        *,
        noise: Noise = QUIET,
        peak: Callable[[int], int] | None = None,
    ) -> None:
        self.times = times
        self.noise = noise
        self.peak = peak
        self.measured: list[tuple[int, tuple[str, ...]]] = []

    def targets(self, batch: int) -> list[TargetDescription]:
        return [
            TargetDescription(key=key, factory="simulated:only", facts={"batch": batch, "sha256": f"{key}-{batch}"})
            for key in self.times
        ]

    def measure(self, targets: Sequence[TargetDescription], **arguments: Any) -> Record:
        batch = targets[0].facts["batch"]
        self.measured.append((batch, tuple(target.key for target in targets)))
        workers = SimulatedWorkers(
            SimulatedHost(self.noise, seed=batch),
            {target.key: self.times[target.key](batch) for target in targets},
            peak_bytes=None if self.peak is None else self.peak(batch),
        )
        return run_experiment(targets, workers=workers, **arguments)

    def climb(self, *, settings: Settings = QUICK, **arguments: Any) -> climb.LadderResult:
        return run_ladder(self.targets, settings=settings, measure=self.measure, **arguments)


def test_the_rung_without_gain_is_kept_and_is_the_last() -> None:
    found = Hill({"a": saturating(4)}).climb().climbs["a"]
    assert [rung.batch for rung in found.rungs] == [1, 2, 4, 8]
    assert found.stop is Stop.SATURATED
    assert "batch 8" in found.reason
    throughputs = [rung.throughput for rung in found.rungs]
    assert throughputs[:3] == pytest.approx([200, 400, 800], rel=0.05)
    assert throughputs[3] == pytest.approx(throughputs[2], rel=0.05)
    assert found.best is not None
    assert found.best.batch in (4, 8)


def test_every_rung_has_its_record_and_its_gain_an_interval_around_the_truth() -> None:
    settings = Settings(seed=1, budget_s=1e6, min_rounds=5, max_rounds=5)
    found = Hill({"a": saturating(2)}).climb(settings=settings).climbs["a"]
    assert len(found.records) == len(found.rungs)
    assert found.rungs[0].gain is None
    gains = [rung.gain for rung in found.rungs[1:]]
    for gain, truth in zip(gains, (2.0, 1.0), strict=True):
        assert gain is not None
        assert gain.low < truth < gain.high
        assert gain.n == 5


def test_each_candidate_ends_its_own_climb_and_those_that_go_on_are_measured_together() -> None:
    hill = Hill({"a": saturating(1), "b": saturating(4)})
    found = hill.climb(reference="a")
    assert [rung.batch for rung in found.climbs["a"].rungs] == [1, 2]
    assert [rung.batch for rung in found.climbs["b"].rungs] == [1, 2, 4, 8]
    assert hill.measured == [(1, ("a", "b")), (2, ("a", "b")), (4, ("b",)), (8, ("b",))]
    assert found.climbs["a"].records[1] is found.climbs["b"].records[1]
    verdict = found.records[1].verdict("b")
    assert verdict is not None
    assert verdict.kind == "FASTER"


def test_a_rung_that_would_not_fit_into_memory_is_never_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("turnkey.host.available_memory_bytes", lambda **_: 1000 * MIB)
    found = Hill({"a": saturating(1000)}, peak=lambda batch: batch * 150 * MIB).climb().climbs["a"]
    assert [rung.batch for rung in found.rungs] == [1, 2, 4]
    assert found.stop is Stop.MEMORY_GUARD
    assert "1,200 MiB of 800 MiB" in found.reason


def test_a_given_ladder_is_climbed_to_its_end_where_nothing_stops_it() -> None:
    rule = LadderRule(batch_sizes=(8, 1, 8), throughput_cutoff_threshold=None)
    found = Hill({"a": saturating(1)}).climb(rule=rule).climbs["a"]
    assert [rung.batch for rung in found.rungs] == [1, 8]
    assert found.stop is Stop.COMPLETE


def test_a_rung_whose_windows_never_agree_ends_the_climb_or_is_flagged_as_the_rule_says() -> None:
    strict = Settings(effort="quick", seed=1, budget_s=1e6, windows=Windows(stability_percentage=1e-9, max_trials=3))
    stopped = Hill({"a": saturating(2)}).climb(settings=strict).climbs["a"]
    assert stopped.stop is Stop.UNSTABLE
    assert [rung.stable for rung in stopped.rungs] == [False]
    flagged = Hill({"a": saturating(2)}).climb(settings=strict, rule=LadderRule(on_unstable="flag")).climbs["a"]
    assert flagged.stop is Stop.SATURATED
    assert not any(rung.stable for rung in flagged.rungs)


def test_an_unstable_rung_is_repeated_with_windows_twice_as_long() -> None:
    settings = Settings(effort="quick", seed=1, budget_s=1e6, windows=Windows(stability_percentage=1e-9, max_trials=3))
    rule = LadderRule(batch_sizes=(1,), unstable_repeats=2)
    hill = Hill({"a": saturating(2)})
    found = hill.climb(settings=settings, rule=rule)
    assert hill.measured == [(1, ("a",))] * 3
    windows = [record.settings.windows for record in found.records]
    assert [rule.measurement_request_count for rule in windows if rule] == [50, 100, 200]
    assert len(found.climbs["a"].rungs) == 1


def test_a_candidate_that_has_no_larger_batch_ends_and_the_others_go_on() -> None:
    hill = Hill({"a": saturating(4), "b": saturating(4)})

    def targets(batch: int) -> list[TargetDescription]:
        return [target for target in hill.targets(batch) if target.key == "a" or batch < 2]

    found = run_ladder(targets, settings=QUICK, measure=hill.measure)
    assert found.climbs["b"].stop is Stop.COMPLETE
    assert len(found.climbs["b"].rungs) == 1
    assert len(found.climbs["a"].rungs) == 4


def test_records_of_finished_rungs_are_taken_up_again_and_those_of_another_plan_are_not(tmp_path: Path) -> None:
    first = Hill({"a": saturating(2)})
    before = first.climb(path=tmp_path)
    assert sorted(place.name for place in tmp_path.iterdir()) == ["batch-1.zip", "batch-2.zip", "batch-4.zip"]
    again = Hill({"a": saturating(2)})
    assert again.climb(path=tmp_path).to_json() == before.to_json()
    assert again.measured == []
    (tmp_path / "batch-2.zip").write_bytes(b"cut")
    again.climb(path=tmp_path)
    assert again.measured == [(2, ("a",))]
    other = Hill({"a": saturating(2)})
    other.climb(path=tmp_path, settings=Settings(effort="quick", seed=2, budget_s=1e6))
    assert len(other.measured) == 3


def test_a_spent_budget_ends_every_climb_after_the_rung_in_work(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = count(0, 60)
    monkeypatch.setattr(climb, "Budget", lambda seconds: Budget(seconds, clock=lambda: next(clock)))
    found = Hill({"a": saturating(8)}).climb(budget_s=1).climbs["a"]
    assert found.stop is Stop.BUDGET
    assert len(found.rungs) >= 1


def test_what_makes_no_ladder_is_refused_and_an_error_of_the_caller_is_passed_on() -> None:
    with pytest.raises(UsageError, match="nothing to measure"):
        run_ladder(lambda batch: [])
    with pytest.raises(UsageError, match="finite and positive"):
        run_ladder(lambda batch: [], budget_s=float("inf"))
    with pytest.raises(UsageError, match="stop or flag"):
        LadderRule(on_unstable="raise")

    def broken(batch: int) -> list[TargetDescription]:
        raise InputError("the sample has no batch axis")

    with pytest.raises(InputError, match="no batch axis"):
        run_ladder(broken)


@pytest.mark.slow
def test_a_batch_size_that_fails_in_real_processes_ends_the_climb_with_its_error() -> None:
    here = {"PYTHONPATH": str(Path(__file__).parent)}

    def targets(batch: int) -> list[TargetDescription]:
        good = {"kernels": 1, "size": 20_000}
        if batch < 2:
            return [
                TargetDescription(key="a", factory="turnkey.measure.numpy_target:load_numpy", arguments=good),
            ]
        return [
            TargetDescription(
                key="a", factory="fault_targets:load_faulty", arguments={"fault": "raise"}, environment=here
            )
        ]

    settings = Settings(effort="quick", windows=Windows(measurement_request_count=5, stability_percentage=1e9))
    found = run_ladder(targets, settings=settings).climbs["a"]
    assert found.stop is Stop.ERROR
    assert found.error is not None
    assert "shape mismatch in node 7" in found.error["what"]
    assert [rung.batch for rung in found.rungs] == [1]
    assert found.rungs[0].peak_bytes is not None
