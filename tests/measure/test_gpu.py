"""A GPU as NVML describes it: played by a module of the same names, since few machines have one."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from turnkey.errors import UsageError
from turnkey.measure import Record, TargetDescription, gpu, validity
from turnkey.measure.bench import Bench
from turnkey.measure.environment import Pulse, Span, span
from turnkey.measure.gpu import GpuReading
from turnkey.measure.numpy_target import NumpyTarget
from turnkey.measure.slices import Slice


class Nvml:
    """The functions of pynvml that are used, over one device."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM = 1
    NVML_TEMPERATURE_GPU = 0

    def __init__(self, *, processes: tuple[int, ...] = (), refuses: tuple[str, ...] = ()) -> None:
        self.processes = processes
        self.refuses = refuses
        self.locked: tuple[int, int] | None = None
        self.resets = 0

    def __getattr__(self, name: str) -> Any:
        answers = {
            "nvmlDeviceGetHandleByIndex": lambda index: index,
            "nvmlDeviceGetHandleByPciBusId": ["0000:17:00.0", "0000:31:00.0", "0000:65:00.0"].index,
            "nvmlDeviceGetIndex": lambda handle: handle,
            "nvmlDeviceGetClockInfo": lambda handle, kind: 900,
            "nvmlDeviceGetDefaultApplicationsClock": lambda handle, kind: 1500,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda handle: 0x1 | 0x8,
            "nvmlDeviceGetTemperature": lambda handle, kind: 61,
            "nvmlDeviceGetPowerUsage": lambda handle: 250_500,
            "nvmlDeviceGetComputeRunningProcesses": lambda handle: [SimpleNamespace(pid=p) for p in self.processes],
            "nvmlDeviceSetGpuLockedClocks": self._lock,
            "nvmlDeviceResetGpuLockedClocks": self._reset,
        }
        if name in self.refuses:
            return self._refuse
        return answers[name]

    def _lock(self, handle: int, low: int, high: int) -> None:
        self.locked = (low, high)

    def _reset(self, handle: int) -> None:
        self.locked = None
        self.resets += 1

    def _refuse(self, *arguments: Any) -> Any:
        raise self.NVMLError("Insufficient Permissions")


def process(root: Path, pid: int, parent: int) -> None:
    (root / "proc" / str(pid)).mkdir(parents=True)
    (root / "proc" / str(pid) / "stat").write_text(f"{pid} (a) b) S {parent} 1 1")


def test_a_reading_tells_clock_throttling_heat_power_and_whose_processes_are_there(tmp_path: Path) -> None:
    process(tmp_path, 500, os.getpid())  # a worker of ours
    process(tmp_path, 501, 500)  # and its child
    process(tmp_path, 600, 1)
    found = gpu.read(Nvml(processes=(500, 501, 600, 99_999)), 0, root=tmp_path)
    assert found.clock_share == pytest.approx(0.6)
    assert found.throttle == 0x8  # idleness is no throttling
    assert (found.celsius, found.watts) == (61, 250.5)
    assert found.foreign == 1  # 99,999 cannot be seen from here


def test_what_a_device_does_not_tell_is_none(tmp_path: Path) -> None:
    library = Nvml(refuses=("nvmlDeviceGetPowerUsage", "nvmlDeviceGetComputeRunningProcesses"))
    found = gpu.read(library, 0, root=tmp_path)
    assert (found.watts, found.foreign, found.celsius) == (None, None, 61)


def test_devices_are_named_as_torch_names_them() -> None:
    def same(number: int) -> str | None:
        return None

    assert gpu.nvml_index(Nvml(), "cuda", bus_id=same) == 0
    assert gpu.nvml_index(Nvml(), "cuda:2", bus_id=same) == 2
    with pytest.raises(UsageError, match="no CUDA device"):
        gpu.nvml_index(Nvml(), "cuda:x", bus_id=same)


def test_a_device_that_cuda_counts_otherwise_is_found_by_its_slot() -> None:
    slots = {0: "0000:65:00.0", 1: "0000:17:00.0"}  # as CUDA_VISIBLE_DEVICES=2,0 shows them
    assert [gpu.nvml_index(Nvml(), name, bus_id=slots.get) for name in ("cuda", "cuda:1")] == [2, 0]


@pytest.mark.skipif(Path("/dev/nvidiactl").exists(), reason="for machines without a driver")
def test_without_a_driver_the_numbers_are_taken_as_they_are() -> None:
    assert gpu.nvml_index(Nvml(), "cuda:1") == 1


def test_locked_clocks_are_given_back_after_an_error_and_after_a_crash(tmp_path: Path) -> None:
    library, stamp = Nvml(), tmp_path / "cache" / "stamp.json"

    def interrupted() -> None:
        with gpu.locked_clocks(library, 0, stamp=stamp):
            assert library.locked == (1500, 1500)
            assert stamp.exists()
            assert not gpu.restore_clocks(library, stamp=stamp)  # whoever locked them is alive
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert library.locked is None
    assert not stamp.exists()
    stamp.write_text('{"gpu": 0, "pid": 600}')
    assert gpu.restore_clocks(library, stamp=stamp, root=tmp_path)
    assert library.resets == 2
    assert not gpu.restore_clocks(library, stamp=stamp, root=tmp_path)


def test_a_driver_that_refuses_to_lock_is_a_message_and_leaves_no_stamp(tmp_path: Path) -> None:
    stamp = tmp_path / "stamp.json"
    library = Nvml(refuses=("nvmlDeviceSetGpuLockedClocks",))
    with pytest.raises(UsageError, match="cannot be locked"), gpu.locked_clocks(library, 0, stamp=stamp):
        pass
    assert not stamp.exists()


def over(first: GpuReading, last: GpuReading) -> Span:
    return span(Pulse(at=0.0, gpu=first), Pulse(at=1.0, gpu=last), ours_s=0.0)


CALM = GpuReading(sm_mhz=1500, default_mhz=1500, throttle=0, celsius=50, foreign=0)


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (GpuReading(celsius=50, foreign=1), "foreign-gpu-process"),
        (GpuReading(celsius=64, foreign=0), "temperature"),
        (GpuReading(celsius=50, throttle=8), "temperature"),
    ],
)
def test_what_the_gpu_did_during_the_passes_is_a_reason(last: GpuReading, code: str) -> None:
    assert [item.code for item in validity.of_host([over(CALM, CALM), over(CALM, last)])] == [code]
    assert validity.of_host([over(CALM, CALM)] * 2) == []


def test_a_pass_below_three_quarters_of_the_default_clock_is_disturbed() -> None:
    slow = GpuReading(sm_mhz=1100, default_mhz=1500)
    assert validity.is_disturbed(over(CALM, slow), [])
    assert not validity.is_disturbed(over(CALM, CALM), [])


class Timer:
    """A device whose computing takes a microsecond, its copies a tenth; counts what it was asked."""

    def __init__(self, target: NumpyTarget) -> None:
        self._target = target
        self._calls = 0
        self.flushed = 0

    def run(self, prepared: Any) -> Any:
        self._calls += 1
        return self._target.run(prepared)

    def read(self) -> dict[str, list[int]]:
        calls, self._calls = self._calls, 0
        return {"device": [1000] * calls, "copy_in": [100] * calls, "copy_out": [200] * calls}

    def flush(self) -> None:
        self.flushed += 1


class OnDevice(NumpyTarget):
    def load(self) -> None:
        super().load()
        self.device_timer = Timer(self)


@pytest.mark.parametrize("cold", [False, True])
def test_a_target_on_a_device_has_both_durations_of_the_same_calls(cold: bool) -> None:
    target = OnDevice(kernels=2, size=2000)
    bench = Bench(lambda: target, cold_cache=cold)
    bench.arrive()
    bench.load()
    done = bench.slice(entries=4, inner=1)
    assert {part: len(times) for part, times in done.device.items()} == {"device": 4, "copy_in": 4, "copy_out": 4}
    assert len(done.ns) == 4
    assert all(ns > 0 for ns in done.ns)
    assert target.device_timer.flushed == (4 if cold else 0)
    assert bench.slice(entries=4, inner=3).device == {}  # inner loops are not taken apart


def test_device_times_travel_in_the_record_and_are_columns_of_their_own() -> None:
    def timed(r: int, p: int) -> Slice:
        return Slice(
            v="a",
            r=r,
            p=p,
            pos=0,
            kind="timed",
            t0=p,
            settle=9,
            ns=(3_000_000,) * 5,
            device={"device": (2_000_000,) * 5, "copy_in": (400_000,) * 5, "copy_out": (100_000,) * 5},
        )

    slices = [timed(r, p) for r in (1, 2) for p in range(3)]
    assert [Slice.from_json(item.to_json(), where="here") for item in slices] == slices
    entry = {"key": TargetDescription(key="a", factory="x:y").key, "threads": 1, "status": "live", "error": None}
    rounds = [{"r": r, "processes": [], "spans": []} for r in (1, 2)]
    run = {"variants": [entry], "rounds": rounds, "looks": [], "settings": {}, "calibration": []}
    found = Record(run, slices).summary("a")
    assert found.latency_ms == pytest.approx(3.0)
    assert (found.device_ms, found.copy_in_ms, found.copy_out_ms) == pytest.approx((2.0, 0.4, 0.1))
    assert np.isfinite(found.device_ms)
