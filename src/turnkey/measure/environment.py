"""What this machine is, and what it does while we measure. Read from the kernel's files; nothing is refused here.

`probe` is read once per experiment, `pulse` between passes, never inside a slice. What cannot be read is None and
the reason stands in ``unreadable``. Both take the root of the files, so that tests can show them another machine.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.measure.gpu import GpuReading

_ROOT = Path("/")
_TICK = os.sysconf("SC_CLK_TCK") if hasattr(os, "sysconf") else 100
_VARIABLES = (
    *("OMP_NUM_THREADS", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "GOMP_CPU_AFFINITY", "KMP_AFFINITY", "KMP_BLOCKTIME"),
    *("MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_DYNAMIC", "MALLOC_ARENA_MAX", "LD_PRELOAD"),
    *("PYTHONHASHSEED", "PYTHONMALLOC", "CUDA_VISIBLE_DEVICES", "ONEDNN_MAX_CPU_ISA", "ATEN_CPU_CAPABILITY"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """A cheap reading of the host; counters since boot unless said otherwise.

    Attributes:
        at: monotonic seconds.
        cpus: numbers of those that we may use now.
        busy_s, steal_s: of them, summed.
        throttled: periods in which the cgroup's quota stopped us.
        hot: how often CPUs slowed down because of their temperature.
        celsius: hottest thermal zone now.
        governor, limit_khz: of the first CPU now, and the highest frequency that it is allowed.
        on_mains: False on battery.
    """

    at: float
    cpus: tuple[int, ...] = ()
    busy_s: float | None = None
    steal_s: float | None = None
    throttled: int | None = None
    hot: int | None = None
    celsius: float | None = None
    governor: str | None = None
    limit_khz: int | None = None
    on_mains: bool | None = None
    gpu: GpuReading | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """What happened on the host between two pulses around a pass. Fractions are of our CPUs' time.

    Attributes:
        gpu_clock: of the measured device as a share of its default, right after the pass: before it the device idles.
        gpu_throttle: bits of reasons; ``gpu_foreign`` processes of others on it.
    """

    seconds: float
    others: float | None = None
    steal: float | None = None
    throttled: int | None = None
    hot: int | None = None
    celsius: float | None = None
    governor: str | None = None
    limit_khz: int | None = None
    on_mains: bool | None = None
    gpu_clock: float | None = None
    gpu_throttle: int | None = None
    gpu_celsius: int | None = None
    gpu_watts: float | None = None
    gpu_foreign: int | None = None

    def to_json(self) -> dict[str, Any]:
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(self).items()}


def pulse(
    *, root: Path = _ROOT, cpus: Sequence[int] | None = None, gpu: Callable[[], GpuReading] | None = None
) -> Pulse:
    """Read the host now: a few small files, well under a millisecond; and a GPU, where one is measured."""
    ours = host.affinity_cpus() if cpus is None else tuple(cpus)
    busy, steal = _cpu_seconds(root, ours)
    cpufreq = root / "sys/devices/system/cpu/cpu0/cpufreq"
    limit = _number(cpufreq / "scaling_max_freq")
    return Pulse(
        at=time.monotonic(),
        cpus=ours,
        busy_s=busy,
        steal_s=steal,
        throttled=host.cpu_throttled_periods(root=root),
        hot=_hot(root),
        celsius=_celsius(root),
        governor=read_text_of(cpufreq / "scaling_governor"),
        limit_khz=None if limit is None else int(limit),
        on_mains=_on_mains(root),
        gpu=None if gpu is None else gpu(),
    )


def span(before: Pulse, after: Pulse, *, ours_s: float) -> Span:
    """Between two pulses, between which our own processes used so much CPU time.

    Who may use other CPUs than before has other counters: what others used meanwhile is not known then.
    """
    seconds = after.at - before.at
    capacity = max(seconds * len(after.cpus), 1e-9)

    def grown(name: str) -> Any:
        first, last = getattr(before, name), getattr(after, name)
        return None if first is None or last is None else last - first

    busy, steal = (grown(name) if before.cpus == after.cpus else None for name in ("busy_s", "steal_s"))
    readings = [reading for reading in (before.gpu, after.gpu) if reading is not None]
    return Span(
        seconds=seconds,
        # Counters tick every 10 ms: over a short pass they may run a tick behind our own exact clocks.
        others=None if busy is None else max(0.0, (busy - ours_s) / capacity),
        steal=None if steal is None else max(0.0, steal / capacity),
        throttled=grown("throttled"),
        hot=grown("hot"),
        celsius=after.celsius,
        governor=after.governor,
        limit_khz=after.limit_khz,
        on_mains=after.on_mains,
        gpu_clock=None if after.gpu is None else after.gpu.clock_share,
        gpu_throttle=max((reading.throttle for reading in readings if reading.throttle is not None), default=None),
        gpu_celsius=None if after.gpu is None else after.gpu.celsius,
        gpu_watts=None if after.gpu is None else after.gpu.watts,
        gpu_foreign=max((reading.foreign for reading in readings if reading.foreign is not None), default=None),
    )


def probe(*, root: Path = _ROOT) -> dict[str, Any]:
    """Everything about the machine that a reader of the record may need, as plain JSON values."""
    info = host.system_info().to_dict()
    cpu0 = root / "sys/devices/system/cpu/cpu0"
    facts: dict[str, Any] = {
        **info,
        "gpus": [dict(gpu) for gpu in info["gpus"]],
        "smt": read_text_of(root / "sys/devices/system/cpu/smt/active"),
        "caches": _caches(cpu0 / "cache"),
        "governor": read_text_of(cpu0 / "cpufreq/scaling_governor"),
        "frequency_limits_khz": read_text_of(cpu0 / "cpufreq/cpuinfo_max_freq"),
        "turbo_off": read_text_of(root / "sys/devices/system/cpu/intel_pstate/no_turbo"),
        "turbo": _turbo(root),
        "load_average": read_text_of(root / "proc/loadavg"),
        "pressure": read_text_of(root / "proc/pressure/cpu"),
        "throttled_periods": host.cpu_throttled_periods(root=root),
        "available_memory_bytes": host.available_memory_bytes(root=root),
        "celsius": _celsius(root),
        "on_mains": _on_mains(root),
        "virtualisation": _virtualisation(root),
        "is_virtual": "hypervisor" in (read_text_of(root / "proc/cpuinfo") or ""),
        "aslr": read_text_of(root / "proc/sys/kernel/randomize_va_space"),
        "python_executable_version": sys.version.split()[0],
        "python_implementation": platform.python_implementation(),
        "variables": {name: os.environ[name] for name in _VARIABLES if name in os.environ},
    }
    facts["unreadable"] = {
        name: "not offered by this kernel or hidden by the container" for name in sorted(facts) if facts[name] is None
    }
    return facts


def joules(*, root: Path = _ROOT) -> float | None:
    """Energy counter of all packages since some start (RAPL); None where it cannot be read."""
    total = 0.0
    zones = sorted((root / "sys/class/powercap").glob("intel-rapl:[0-9]*"))
    packages = [zone for zone in zones if zone.name.count(":") == 1]
    for zone in packages:
        value = _number(zone / "energy_uj")
        if value is None:
            return None
        total += value / 1e6
    return total if packages else None


def _cpu_seconds(root: Path, cpus: Sequence[int]) -> tuple[float | None, float | None]:
    names = {f"cpu{number}" for number in cpus}
    busy = steal = 0
    found = False
    for line in (read_text_of(root / "proc/stat") or "").splitlines():
        name, *fields = line.split()
        if name in names and len(fields) >= 8:
            user, nice, system, _, _, irq, softirq, stolen = (int(value) for value in fields[:8])
            busy += user + nice + system + irq + softirq
            steal += stolen
            found = True
    return (busy / _TICK, steal / _TICK) if found else (None, None)


def _hot(root: Path) -> int | None:
    cpus = (root / "sys/devices/system/cpu").glob("cpu[0-9]*/thermal_throttle/core_throttle_count")
    counts = [value for place in cpus if (value := _number(place)) is not None]
    return int(sum(counts)) if counts else None


def _celsius(root: Path) -> float | None:
    kinds = root / "sys/class"
    places = [*(kinds / "thermal").glob("thermal_zone*/temp"), *(kinds / "hwmon").glob("*/temp*_input")]
    values = [value / 1000 for place in places if (value := _number(place)) is not None]
    return max((value for value in values if 0 < value < 150), default=None)


def _on_mains(root: Path) -> bool | None:
    supplies = sorted((root / "sys/class/power_supply").glob("*"))
    online = [read_text_of(supply / "online") for supply in supplies if read_text_of(supply / "type") == "Mains"]
    if online:
        return "1" in online
    return not any(read_text_of(supply / "status") == "Discharging" for supply in supplies) if supplies else None


def _turbo(root: Path) -> bool | None:
    """Whether clocks may rise above the nominal one."""
    cpus = root / "sys/devices/system/cpu"
    off, boost = read_text_of(cpus / "intel_pstate/no_turbo"), read_text_of(cpus / "cpufreq/boost")
    return off == "0" if off is not None else boost == "1" if boost is not None else None


def _caches(directory: Path) -> dict[str, str] | None:
    found = {}
    for index in sorted(directory.glob("index*")):
        level, kind, size = (read_text_of(index / name) for name in ("level", "type", "size"))
        if level and kind and size:
            found[f"L{level} {kind}"] = size
    return found or None


def _virtualisation(root: Path) -> str | None:
    product = read_text_of(root / "sys/class/dmi/id/product_name")
    hypervisor = "hypervisor" in (read_text_of(root / "proc/cpuinfo") or "")
    return product or ("a hypervisor is present" if hypervisor else None)


def read_text_of(path: Path) -> str | None:
    """Content of a small file of the kernel, stripped; None where it cannot be read."""
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _number(path: Path) -> float | None:
    try:
        return float(read_text_of(path) or "")
    except ValueError:
        return None
