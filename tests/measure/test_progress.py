"""What somebody who waits for an experiment is told, and when: on a simulated host whose seconds the test counts."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

from turnkey.measure import Settings, TargetDescription, run_experiment
from turnkey.measure.budget import Budget
from turnkey.measure.crew import LoadReport, SliceReport
from turnkey.measure.progress import Progress
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorker
from turnkey.measure.warmup import WarmUp

HOST = SimulatedHost(QUIET, seed=1)


class Waiting:
    """Who is told, with the second of each word; nobody may speak while calls are timed."""

    def __init__(self, *, slice_s: float, load_s: float = 0.0) -> None:
        self.second = 0.0
        self.is_timing = False
        self.told: list[tuple[float, str]] = []
        self.slice_s = slice_s
        self.load_s = load_s

    def hear(self, text: str) -> None:
        assert not self.is_timing
        self.told.append((self.second, text))

    def measure(self, times: dict[str, float], **settings: Any) -> list[tuple[float, str]]:
        run_experiment(
            [TargetDescription(key=key, factory="simulated:only") for key in times],
            reference=next(iter(times)),
            settings=Settings(seed=1, **settings),
            listen=self.hear,
            workers=lambda description, **_: SlowWorker(self, times[description.key]),
            clock=lambda: self.second,
        )
        return self.told


class SlowWorker(SimulatedWorker):
    """Its steps move the clock."""

    def __init__(self, waiting: Waiting, base: float) -> None:
        super().__init__(HOST, base=base, decay=5, peak_bytes=None, load_ns=1)
        self._waiting = waiting

    def load(self) -> LoadReport:
        self._waiting.second += self._waiting.load_s
        return super().load()

    def calibrate(self, *, call_ns: float) -> WarmUp:
        return self._timed(lambda: super(SlowWorker, self).calibrate(call_ns=call_ns))

    def warm(self, *, call_ns: float, n_warm: int) -> WarmUp:
        return self._timed(lambda: super(SlowWorker, self).warm(call_ns=call_ns, n_warm=n_warm))

    def slice(self, *, entries: int, inner: int) -> SliceReport:
        self._waiting.second += self._waiting.slice_s
        return self._timed(lambda: super(SlowWorker, self).slice(entries=entries, inner=inner))

    def _timed(self, step: Any) -> Any:
        self._waiting.is_timing = True
        try:
            return step()
        finally:
            self._waiting.is_timing = False


def test_the_one_round_of_quick_says_every_ten_seconds_how_far_it_is() -> None:
    assert Waiting(slice_s=1.0).measure({"a": 5e6, "b": 6e6}, effort="quick") == [
        (0, "round 1 of 1: a, b"),
        (10, "round 1 of 1: pass 6 of 15, about 20 s left in this round; 10 s of a budget of 600 s"),
        (20, "round 1 of 1: pass 11 of 15, about 10 s left in this round; 20 s of a budget of 600 s"),
    ]


def test_of_calls_that_take_a_minute_it_is_told_between_the_slices_of_a_pass() -> None:
    told = Waiting(slice_s=60.0).measure({"a": 5e6, "b": 6e6}, effort="quick", passes=2)
    assert [second for second, _ in told] == [0, 60, 120, 180]
    assert told[1][1] == "round 1 of 1: pass 1 of 2; 60 s of a budget of 600 s"
    assert told[3][1].startswith("round 1 of 1: pass 2 of 2, about 60 s left")


def test_processes_that_load_for_long_are_named() -> None:
    told = Waiting(slice_s=0.0, load_s=40.0).measure({"a": 5e6, "b": 6e6}, effort="quick")
    (first, second) = told[:2]
    assert first == (0, "round 1 of 1: a, b")
    assert second[0] == 40
    assert second[1].startswith("round 1 of 1: loading and warming ")
    assert second[1].endswith(" (2 of 2); 40 s of a budget of 600 s")


def test_calibrations_rounds_and_looks_are_told_when_they_begin_and_nothing_twice_in_a_row() -> None:
    told = [text for _, text in Waiting(slice_s=0.01).measure({"a": 5e6, "b": 9e6})]
    assert told[:4] == [
        "calibrating: a, b",
        "calibrating a (1 of 2)",
        "calibrating b (2 of 2)",
        "round 1 of at most 11: a, b",
    ]
    assert told[-1] == "look 1 after 5 rounds: a leads, all decided"
    assert all(before != after for before, after in pairwise(told))


def test_a_round_whose_windows_do_not_agree_says_why_it_goes_on() -> None:
    told: list[str] = []
    now = [0.0]
    progress = Progress(told.append, Budget(100, clock=lambda: now[0]))
    progress.begin("round 1 of 1")
    now[0] = 30
    progress.reach_pass(15, 15, is_bounded=True)
    assert told[-1] == (
        "round 1 of 1: pass 16, more than planned: the windows do not agree yet; 30 s of a budget of 100 s"
    )


def test_a_place_where_it_stays_is_told_after_ever_longer_pauses() -> None:
    told: list[float] = []
    now = [0.0]
    progress = Progress(lambda _: told.append(now[0]), Budget(600, clock=lambda: now[0]))
    progress.begin("round 1 of 1")
    progress.reach("loading and warming torch-compile (1 of 3)")
    for now[0] in range(1, 300):
        progress.remind()
    assert told == [0, 10, 30, 70, 150]
    for now[0] in range(300, 322):
        progress.reach("loading and warming onnx (2 of 3)")
    assert told[5:] == [300, 320]


def test_past_the_budget_it_says_why_it_goes_on() -> None:
    exact = Waiting(slice_s=20.0).measure({"a": 5e6}, effort="quick", iterations=400, budget_s=30)
    assert exact[1][1].endswith("; 20 s of a budget of 30 s")
    assert exact[2][1].endswith("; 40 s, past the budget of 30 s: this round is finished first")
    fitted = Waiting(slice_s=20.0).measure({"a": 5e6, "b": 5e6}, effort="quick", budget_s=15)
    assert [text for _, text in fitted[1:]] == [
        "round 1 of 1: pass 1 of 15; 20 s, past the budget of 15 s: this round ends with this pass"
    ]
    loading = Waiting(slice_s=1.0, load_s=40.0).measure({"a": 5e6, "b": 5e6}, effort="quick", budget_s=30)
    assert loading[1][1].endswith("(2 of 2); 40 s, past the budget of 30 s: each candidate still gets its first pass")


def test_a_spent_budget_ends_the_experiment_after_the_round_in_work_and_the_record_says_so() -> None:
    waiting = Waiting(slice_s=1.0)
    budget = {"budget_s": 70, "passes": 8}
    record = run_experiment(
        [TargetDescription(key=key, factory="simulated:only") for key in ("a", "b")],
        settings=Settings(seed=1, **budget),
        workers=lambda description, **_: SlowWorker(waiting, 5e6),
        clock=lambda: waiting.second,
    )
    assert len(record.run["rounds"]) == 3  # of 8 passes of 3 slices of a second
    assert record.run["looks"][-1]["n"] == 3
    assert record.run["wall_s"] == 72
    assert record.run["state"] == "finished"
    assert "the time budget of 70 s was spent after 3 rounds" in record.summary("a").notes
    assert record.sentence().endswith("(the time budget of 70 s was spent after 3 rounds)")
    assert record.verdict("b", against="a") is not None
