"""Load shapes: their arithmetic, a queue whose truth is known, and one real closed loop."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import ArtifactError, ModelError, UsageError
from turnkey.measure import LoadResult, Record, Shape, TargetDescription, drive, journal, load, run_load
from turnkey.measure.crew import WorkerLost
from turnkey.measure.environment import Span
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorker

NUMPY = TargetDescription(
    key="numpy", factory="turnkey.measure.numpy_target:load_numpy", arguments={"kernels": 4, "size": 5000}
)


@pytest.mark.parametrize(
    ("quantile", "needed"),
    [(0.99, (459, 662, 838, 1001)), (0.95, (90, 130, 165, 198)), (0.90, (44, 64, 81, 97))],
)
def test_early_stopping_needs_the_published_number_of_queries(quantile: float, needed: tuple[int, ...]) -> None:
    assert tuple(load.queries_needed(late, quantile) for late in range(4)) == needed


def test_a_bound_is_kept_only_with_enough_queries() -> None:
    quick = [1e6] * 459
    assert load.keeps_bound(quick, bound_ms=2, quantile=0.99)
    assert not load.keeps_bound(quick[:-1], bound_ms=2, quantile=0.99)
    assert not load.keeps_bound([*quick[:-1], 3e6], bound_ms=2, quantile=0.99)


@given(st.integers(1, 8), st.integers(5, 50), st.integers(0, 100))
def test_clients_that_lose_no_time_obey_littles_law(clients: int, calls: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    durations = [[int(v) for v in generator.integers(900_000, 1_100_000, calls * 4)] for _ in range(clients)]
    starts = [[int(v) for v in np.cumsum([0, *took[:-1]])] for took in durations]
    found = load.flow(starts, durations)
    assert found.in_flight == pytest.approx(clients, rel=0.25 if calls < 20 else 0.08)


def test_a_client_that_idles_between_calls_breaks_littles_law() -> None:
    durations = [[1_000_000] * 100 for _ in range(4)]
    starts = [[2_000_000 * i for i in range(100)] for _ in range(4)]
    found = load.flow(starts, durations)
    assert found.in_flight == pytest.approx(2, rel=0.05)
    assert not load.is_lawful(4, found.in_flight)


def test_arrivals_are_poisson_and_reproduce() -> None:
    offsets = load.arrivals(1000, 20_000, seed=1)
    gaps = np.diff((0, *offsets))
    assert gaps.mean() == pytest.approx(1e6, rel=0.03)
    assert gaps.std() == pytest.approx(1e6, rel=0.05)
    assert offsets == load.arrivals(1000, 20_000, seed=1)


@given(st.floats(0.1, 1e4), st.floats(0.1, 1e4))
def test_the_search_ends_within_three_percent_of_the_limit(limit: float, first: float) -> None:
    tried: list[tuple[float, bool]] = []
    while (rate := load.next_rate(tried, first=first)) is not None:
        tried.append((rate, rate <= limit))
        assert len(tried) < 60
    kept = max(rate for rate, ok in tried if ok)
    assert limit / 1.03 <= kept <= limit


def test_a_rate_that_nothing_keeps_ends_the_search() -> None:
    tried: list[tuple[float, bool]] = []
    while (rate := load.next_rate(tried, first=100.0)) is not None:
        tried.append((rate, False))
    assert len(tried) < 20


@pytest.mark.parametrize(
    ("start", "call", "expected"), [(1000, 5, 100), (0, 5, 0), (1000, 20, None), (1000, 15, None), (50, 15, 0)]
)
def test_break_even_is_when_faster_calls_have_paid_for_a_later_start(
    start: float, call: float, expected: float | None
) -> None:
    baseline = {"baseline_start_ms": 0 if start != 50 else 100, "baseline_call_ms": 15}
    assert load.break_even_calls(start_ms=start, call_ms=call, **baseline) == expected


class Queue(SimulatedWorker):
    """A server with a constant service time: latency follows from the schedule alone."""

    late = 0

    def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
        assert kind == "server"
        free, latencies = 0.0, []
        for offset in arguments["offsets"]:
            free = max(free, offset) + self._base
            latencies.append(int(free - offset))
        return {"latencies": latencies, "late_sends": self.late}


def queue(description: TargetDescription, **_: Any) -> Queue:
    return Queue(SimulatedHost(QUIET, seed=1), base=10e6, decay=5, peak_bytes=None, load_ns=1)


def test_the_highest_rate_under_a_bound_is_found_and_confirmed_in_fresh_processes(tmp_path: Path) -> None:
    shape = Shape(kind="server", bound_ms=50.0, quantile=0.9)
    found = run_load(NUMPY, shape, workers=queue, path=tmp_path / "load.zip")
    # M/D/1 with a service of 10 ms: 90 % wait for less than 40 ms up to a load of about 0.8
    assert found.rate_per_s is not None
    assert 65 < found.rate_per_s < 90
    confirmed = [trial for trial in found.trials if trial.confirms and trial.rate_per_s == found.rate_per_s]
    assert len({trial.round for trial in confirmed}) == 3
    assert found.validity == "VALID"
    assert "queries per second" in found.sentence()
    assert LoadResult.load(tmp_path / "load.zip") == found
    assert found.is_finished
    _, slices = journal.read(tmp_path / "load.zip")
    for item, trial in zip(slices, found.trials, strict=True):
        assert item.kind == "load"
        assert load.percentile_ms(item.ns, 0.5) == trial.p50_ms
    with pytest.raises(ArtifactError, match="load shape"):
        Record.load(tmp_path / "load.zip")


def test_numbers_are_computed_from_the_samples_whatever_the_record_says_of_them(tmp_path: Path) -> None:
    path = tmp_path / "load.zip"
    found = run_load(NUMPY, Shape(kind="server", bound_ms=50.0, quantile=0.9, rounds=1), workers=queue, path=path)
    run, slices = journal.read(path)
    forged = [{**trial, "throughput_per_s": 1e9, "p50_ms": 0.1, "kept": True, "queries": 7} for trial in run["trials"]]
    assert LoadResult.of({**run, "trials": forged, "rate_per_s": 1e9}, slices) == found


def test_what_spoils_a_process_or_the_host_spoils_a_load_too(tmp_path: Path) -> None:
    path = tmp_path / "load.zip"
    run_load(NUMPY, Shape(kind="server", bound_ms=50.0, quantile=0.9, rounds=1), workers=queue, path=path)
    run, slices = journal.read(path)

    def reasons(**changes: Any) -> list[str]:
        return [item.code for item in LoadResult.of({**run, **changes}, slices).reasons]

    assert reasons() == []
    assert reasons(spans=[Span(seconds=1.0, steal=0.2).to_json()]) == ["steal"]
    assert reasons(spans=[Span(seconds=1.0, throttled=3).to_json()]) == ["quota-throttled"]
    changed = {"wrong": "max abs error 0.5", "facts": {"fallback": "node Conv_3 runs on cpu"}, "settled": False}
    spoilt = [{**process, **changed} for process in run["processes"]]
    assert reasons(processes=spoilt) == ["wrong-output", "provider-fallback", "no-steady-state"]


def test_an_interrupted_load_keeps_the_trials_that_were_done_and_leaves_no_process(tmp_path: Path) -> None:
    path = tmp_path / "load.zip"
    killed: list[str] = []

    class Interrupted(Queue):
        done = 0

        def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
            if self.done == 2:
                raise KeyboardInterrupt
            self.done += 1
            return super().drive(kind=kind, **arguments)

        def kill(self) -> None:
            killed.append("killed")

    def start(description: TargetDescription, **_: Any) -> Interrupted:
        return Interrupted(SimulatedHost(QUIET, seed=1), base=10e6, decay=5, peak_bytes=None, load_ns=1)

    with pytest.raises(KeyboardInterrupt):
        run_load(NUMPY, Shape(kind="server", bound_ms=50.0, quantile=0.9), workers=start, path=path)
    kept = LoadResult.load(path)
    assert len(kept.trials) == 2
    assert kept.rate_per_s is None
    assert not kept.is_finished
    assert kept.sentence() == "numpy kept no rate within 50 ms (unfinished)"
    assert killed == ["killed"]


def test_every_trial_is_told_before_it_begins() -> None:
    told: list[str] = []
    shape = Shape(kind="server", bound_ms=50.0, quantile=0.9, rounds=2)
    found = run_load(NUMPY, shape, workers=queue, listen=told.append)
    searching = [text for text in told if not text.startswith("confirming")]
    assert len(searching) == len([trial for trial in found.trials if not trial.confirms])
    assert searching[0].endswith("queries per second")
    assert told[-1] == f"confirming {found.rate_per_s:.4g} queries per second (2 of 2)"


def test_a_record_that_lost_its_samples_is_damaged_and_says_so(tmp_path: Path) -> None:
    path = tmp_path / "load.zip"
    run_load(NUMPY, Shape(kind="server", bound_ms=50.0, quantile=0.9, rounds=1), workers=queue, path=path)
    run, _ = journal.read(path)
    journal.write_zip(path, {"run.json": json.dumps(run).encode(), "samples.jsonl": b""})
    with pytest.raises(ArtifactError, match="damaged"):
        LoadResult.load(path)


def test_a_generator_that_cannot_keep_up_invalidates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Queue, "late", 100_000)
    found = run_load(NUMPY, Shape(kind="server", bound_ms=50.0, quantile=0.9), workers=queue)
    assert [item.code for item in found.reasons] == ["generator-late"]


def test_clients_that_wait_between_calls_invalidate() -> None:
    class Idle(Queue):
        def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
            clients = arguments["clients"]
            starts = [[20_000_000 * i for i in range(50)] for _ in range(clients)]
            return {"starts": starts, "durations": [[10_000_000] * 50 for _ in range(clients)]}

    def start(description: TargetDescription, **_: Any) -> Idle:
        return Idle(SimulatedHost(QUIET, seed=1), base=10e6, decay=5, peak_bytes=None, load_ns=1)

    found = run_load(NUMPY, Shape(kind="concurrency", clients=(1, 4)), workers=start)
    assert [item.code for item in found.reasons] == ["littles-law"]
    assert found.reasons[0].remedy
    assert "INVALID: littles-law" in found.sentence()
    assert found.reasons[0].evidence.startswith("1 client, yet 0.51 calls")


def test_a_real_closed_loop_and_offline_run(tmp_path: Path) -> None:
    swept = run_load(NUMPY, Shape(kind="concurrency", clients=(1, 2), seconds=0.3), path=tmp_path / "load.zip")
    assert [trial.clients for trial in swept.trials] == [1, 2]
    assert all(trial.throughput_per_s > 0 for trial in swept.trials)
    run, _ = journal.read(tmp_path / "load.zip")
    assert len(run["processes"]) == 1
    assert len(run["spans"]) == 2
    offline = run_load(NUMPY, Shape(kind="offline", seconds=0.2, rounds=1))
    assert offline.rate_per_s is not None
    assert offline.rate_per_s > 0


def test_an_open_loop_counts_latency_from_the_schedule_not_from_the_send() -> None:
    import time

    # ten arrivals at once, each of 5 ms: the last one waits for the nine before it
    found = drive.server(lambda _: time.sleep(0.005), [None], offsets=[0] * 10, service_threads=1)
    assert found["latencies"][-1] > 45e6
    assert found["latencies"] == sorted(found["latencies"])


@pytest.mark.parametrize("kind", ["concurrency", "server"])
def test_a_call_that_raises_under_load_is_told(kind: str) -> None:
    def broken(_: Any) -> None:
        raise ValueError("no memory for batch")

    arguments = {"clients": 2, "seconds": 0.1} if kind == "concurrency" else {"offsets": [0], "service_threads": 1}
    with pytest.raises(ValueError, match="no memory"):
        drive.KINDS[kind](broken, [None], **arguments)


def test_a_worker_lost_under_load_is_the_callers_error() -> None:
    class Dying(Queue):
        def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
            raise WorkerLost("crashed", ModelError("the worker ended: killed by SIGKILL"))

    def start(description: TargetDescription, **_: Any) -> Dying:
        return Dying(SimulatedHost(QUIET, seed=1), base=10e6, decay=5, peak_bytes=None, load_ns=1)

    with pytest.raises(ModelError, match="SIGKILL"):
        run_load(NUMPY, Shape(kind="server", bound_ms=50.0), workers=start)


def test_shapes_that_mean_nothing_are_refused() -> None:
    with pytest.raises(UsageError, match="latency bound"):
        Shape(kind="server")
    with pytest.raises(UsageError, match="no load shape"):
        Shape(kind="burst")
    with pytest.raises(UsageError, match="finite and positive"):
        Shape(kind="offline", seconds=float("inf"))
