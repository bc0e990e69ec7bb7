"""What an NVIDIA GPU does while we measure, and its clocks locked on request.

Read through NVML between passes, never inside a slice. `read` and `locked_clocks` take the NVML module, so that tests
can show them another device.

Trade-offs: inside a container NVML may report the process numbers of the host, which cannot be looked up here; such
processes are not called foreign. Scope: nothing here was run on a device yet; NVML is imported only
where a GPU is measured.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import MissingDependencyError, UsageError

_ROOT = Path("/")
_DRIVER_TIMEOUT_S = 60.0
_ASK_DRIVER = """
import ctypes, sys
driver = ctypes.CDLL("libcuda.so.1")
device, slot = ctypes.c_int(), ctypes.create_string_buffer(64)
failed = (
    driver.cuInit(0)
    or driver.cuDeviceGet(ctypes.byref(device), int(sys.argv[1]))
    or driver.cuDeviceGetPCIBusId(slot, len(slot), device)
)
print(slot.value.decode())
sys.exit(1 if failed else 0)
"""
_IDLE_REASONS = 0x1 | 0x2
"""``GpuIdle`` and ``ApplicationsClocksSetting``: clocks that are low because nothing runs, or as they were set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuReading:
    """One device now; None is what it does not tell.

    Attributes:
        sm_mhz, default_mhz: clock of the multiprocessors, and the one that applications get by default.
        throttle: bits of the reasons why the clock is held down, without idleness and settings.
        foreign: processes on the device that are neither ours nor our workers'.
    """

    sm_mhz: int | None = None
    default_mhz: int | None = None
    throttle: int | None = None
    celsius: int | None = None
    watts: float | None = None
    foreign: int | None = None

    @property
    def clock_share(self) -> float | None:
        """Clock now as a share of the default one."""
        return self.sm_mhz / self.default_mhz if self.sm_mhz and self.default_mhz else None


def nvml() -> Any:
    """The NVML module, initialised.

    Raises:
        MissingDependencyError: it is not installed, or there is no driver.
    """
    try:
        import pynvml

        pynvml.nvmlInit()
    except ImportError as error:
        raise MissingDependencyError(
            "readings of the GPU need NVML", evidence=str(error), remedy="pip install nvidia-ml-py"
        ) from error
    except pynvml.NVMLError as error:
        raise MissingDependencyError("NVML does not start", evidence=str(error), remedy="nvidia-smi") from error
    return pynvml


def nvml_index(library: Any, device: str, *, bus_id: Callable[[int], str | None] | None = None) -> int:
    """NVML's number of a device that is named as CUDA counts: ``cuda`` is the first, ``cuda:1`` the second.

    The two count differently: CUDA sees what ``CUDA_VISIBLE_DEVICES`` lets it see, the fastest first, NVML sees all
    in the order of their PCI slots. The slot is what both know of a device.

    Args:
        bus_id: the PCI slot of a CUDA device; None asks the driver. Where it cannot tell, both numbers are the same.

    Raises:
        UsageError: another text.
    """
    kind, _, number = device.partition(":")
    if kind != "cuda" or not (number or "0").isdigit():
        raise UsageError(f"{device!r} is no CUDA device", remedy="cuda or cuda:1")
    place = (bus_id or _bus_id)(int(number or 0))
    if place is None:
        return int(number or 0)
    return int(library.nvmlDeviceGetIndex(library.nvmlDeviceGetHandleByPciBusId(place)))


def _bus_id(number: int) -> str | None:
    """PCI slot of a CUDA device, told by the driver in a process of its own: a process that has used CUDA must not
    fork, and ours does."""
    command = [sys.executable, "-I", "-c", _ASK_DRIVER, str(number)]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, timeout=_DRIVER_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:  # a driver that hangs
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None


def read(library: Any, index: int, *, root: Path = _ROOT) -> GpuReading:
    """Clock, throttling, temperature, power and foreign processes of one device."""
    handle = library.nvmlDeviceGetHandleByIndex(index)

    def told(name: str, *arguments: Any) -> Any:
        try:
            return getattr(library, name)(handle, *arguments)
        except library.NVMLError:  # this device does not tell
            return None

    reasons = told("nvmlDeviceGetCurrentClocksThrottleReasons")
    milliwatts = told("nvmlDeviceGetPowerUsage")
    processes = told("nvmlDeviceGetComputeRunningProcesses")
    return GpuReading(
        sm_mhz=told("nvmlDeviceGetClockInfo", library.NVML_CLOCK_SM),
        default_mhz=told("nvmlDeviceGetDefaultApplicationsClock", library.NVML_CLOCK_SM),
        throttle=None if reasons is None else int(reasons) & ~_IDLE_REASONS,
        celsius=told("nvmlDeviceGetTemperature", library.NVML_TEMPERATURE_GPU),
        watts=None if milliwatts is None else milliwatts / 1000,
        foreign=None if processes is None else sum(_is_foreign(process.pid, root) for process in processes),
    )


@contextlib.contextmanager
def locked_clocks(library: Any, index: int, *, stamp: Path) -> Iterator[None]:
    """The device at its default application clock, given back afterwards.

    ``stamp`` names the device while its clocks are locked: after a crash `restore_clocks` gives them back.

    Raises:
        UsageError: the driver refuses (it takes the rights of root).
    """
    handle = library.nvmlDeviceGetHandleByIndex(index)
    try:
        mhz = library.nvmlDeviceGetDefaultApplicationsClock(handle, library.NVML_CLOCK_SM)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(json.dumps({"gpu": index, "pid": os.getpid()}), encoding="utf-8")
        library.nvmlDeviceSetGpuLockedClocks(handle, mhz, mhz)
    except library.NVMLError as error:
        stamp.unlink(missing_ok=True)
        raise UsageError(
            "the clocks of the GPU cannot be locked", evidence=str(error), remedy="sudo, or leave --lock-clocks out"
        ) from error
    try:
        yield
    finally:
        library.nvmlDeviceResetGpuLockedClocks(handle)
        stamp.unlink(missing_ok=True)


def restore_clocks(library: Any, *, stamp: Path, root: Path = _ROOT) -> bool:
    """Give back clocks that a process which is gone left locked; True if there were any."""
    try:
        held = json.loads(stamp.read_text(encoding="utf-8"))
        index, pid = int(held["gpu"]), int(held["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if (root / "proc" / str(pid)).exists():
        return False
    library.nvmlDeviceResetGpuLockedClocks(library.nvmlDeviceGetHandleByIndex(index))
    stamp.unlink(missing_ok=True)
    return True


def _is_foreign(pid: int, root: Path) -> bool:
    """Whether a process is neither this one nor one of its descendants; False where it cannot be seen from here."""
    current = pid
    while current > 1:
        if current == os.getpid():
            return False
        parent = host.parent_process(current, root=root)
        if parent is None:
            return current != pid
        current = parent
    return True
