"""What is read of the host around a piece of work."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from turnkey.errors import MissingDependencyError
from turnkey.measure import TargetDescription, gpu
from turnkey.measure.environment import Pulse
from turnkey.measure.host_watch import HostWatch, watch_of


@pytest.fixture
def pulses(monkeypatch: pytest.MonkeyPatch) -> Iterator[Pulse]:
    """Ten seconds on two processors, on which 12 s were worked; this process worked 3 s of it."""
    clock = iter([100.0, 103.0])
    monkeypatch.setattr(time, "process_time", lambda: next(clock))
    return iter([Pulse(at=0.0, cpus=(0, 1), busy_s=50.0), Pulse(at=10.0, cpus=(0, 1), busy_s=62.0)])


def test_the_time_of_workers_is_ours_and_what_is_left_is_that_of_others(pulses: Iterator[Pulse]) -> None:
    watch = HostWatch(lambda: next(pulses))
    span = watch.end(watch.begin(), workers_ns=4_000_000_000)
    assert span.seconds == 10.0
    assert span.others == pytest.approx((12 - 3 - 4) / 20)


def test_what_is_measured_in_this_process_is_not_counted_twice(pulses: Iterator[Pulse]) -> None:
    watch = HostWatch(lambda: next(pulses), in_process=True)
    span = watch.end(watch.begin(), workers_ns=4_000_000_000)
    assert span.others == pytest.approx((12 - 3) / 20)


def test_of_other_processors_than_before_nothing_is_said() -> None:
    before = Pulse(at=0.0, cpus=(1,), busy_s=50.0, steal_s=1.0, throttled=2)
    after = Pulse(at=1.0, cpus=(0, 1), busy_s=90_000.0, steal_s=700.0, throttled=5)
    pulses = iter([before, after])
    watch = HostWatch(lambda: next(pulses))
    span = watch.end(watch.begin())
    assert (span.others, span.steal, span.throttled) == (None, None, 3)


def test_a_gpu_that_cannot_be_read_is_a_note_and_without_one_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> None:
        raise MissingDependencyError("NVML does not start", evidence="Driver Not Loaded", remedy="nvidia-smi")

    monkeypatch.setattr(gpu, "nvml", refused)
    targets = [
        TargetDescription(key=key, factory="a:b", facts={"device": device})
        for key, device in (("a", "cpu"), ("b", "cuda:1"))
    ]
    watch, notes = watch_of(targets)
    assert notes == ("gpu-unread: NVML does not start: Driver Not Loaded",)
    assert watch.begin().pulse.gpu is None
    assert watch_of(targets[:1])[1] == ()
