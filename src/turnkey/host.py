"""Facts about this machine: processors, memory, the quotas of containers, GPUs, the operating system.

Read from files of the kernel; nothing is started, nothing installed. A fact that cannot be had is None, never a
guess. Functions that read the kernel's files take their root, so that tests can show them another machine.

Scope: Linux with cgroup v1, v2 or both; elsewhere psutil gives cores and memory, and there is no quota.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ROOT = Path("/")
_UNLIMITED_BYTES = 1 << 60  # cgroup v1 writes "no limit" as a number near 2**63


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """One NVIDIA GPU as its driver describes it."""

    name: str
    memory_bytes: int
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SystemInfo:
    """The machine, as ``system-info`` shows it and statistics keep it.

    Attributes:
        os: ``Debian GNU/Linux 12 (bookworm)``.
        processor: the model name that the kernel knows.
        physical_cores: cores under the affinity mask, hyper-threads counted once.
        cpu_quota: processors that the cgroup grants, smallest of all ancestors; None without a quota.
        fair_threads: see `fair_threads`.
        memory_limit_bytes: smallest cgroup limit; None without one.
        gpu_note: why ``gpus`` is empty, where that is not simply because there are none.
    """

    os: str
    kernel: str
    machine: str
    processor: str
    logical_cpus: int
    affinity_cpus: int
    physical_cores: int
    cpu_quota: float | None
    fair_threads: int
    memory_bytes: int
    memory_limit_bytes: int | None
    gpus: tuple[Gpu, ...]
    gpu_note: str
    python: str

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


def affinity_cpus() -> tuple[int, ...]:
    """Numbers of the processors that this process may run on, ascending."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def physical_cores(cpus: tuple[int, ...] | None = None, *, root: Path = _ROOT) -> int:
    """Distinct physical cores among ``cpus`` (by default the affinity mask), at least 1."""
    mask = affinity_cpus() if cpus is None else cpus
    cpu_files = root / "sys/devices/system/cpu"
    if not cpu_files.is_dir():
        import psutil  # only where the kernel has no such files

        return max(1, min(len(mask), psutil.cpu_count(logical=False) or len(mask)))
    siblings = {_read(cpu_files / f"cpu{cpu}/topology/thread_siblings_list") or str(cpu) for cpu in mask}
    return max(1, len(siblings))


def cgroup_cpu_quota(*, root: Path = _ROOT) -> float | None:
    """Processors granted by the cgroup of this process: the smallest quota up the tree; None without one."""
    quotas: list[float] = []
    for directory in cgroup_directories("cpu", root=root):
        quota, _, period = (_read(directory / "cpu.max") or "").partition(" ")
        if not quota:
            quota = _read(directory / "cpu.cfs_quota_us") or ""
            period = _read(directory / "cpu.cfs_period_us") or ""
        amount, span = _whole(quota), _whole(period)
        if amount is not None and span is not None and amount > 0 and span > 0:
            quotas.append(amount / span)
    return min(quotas, default=None)


def cpu_throttled_periods(*, root: Path = _ROOT) -> int | None:
    """How often the cgroup's quota has stopped this process so far (``nr_throttled``); None where unknown."""
    counts: list[int] = []
    for directory in cgroup_directories("cpu", root=root):
        for line in (_read(directory / "cpu.stat") or "").splitlines():
            name, _, value = line.partition(" ")
            if name == "nr_throttled" and value.isdigit():
                counts.append(int(value))
    return max(counts, default=None)


def fair_threads() -> int:
    """Threads that this process can keep busy: max(1, min(affinity, floor(quota), physical cores)).

    A quota rounds down: 7.65 processors are 7 threads, since the eighth would be stopped in every period.
    """
    limits = [len(affinity_cpus()), physical_cores()]
    quota = cgroup_cpu_quota()
    if quota is not None:
        limits.append(math.floor(quota))
    return max(1, min(limits))


def memory_bytes() -> int:
    """Installed memory."""
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", {}):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    import psutil

    return int(psutil.virtual_memory().total)


def memory_limit_bytes(*, root: Path = _ROOT) -> int | None:
    """Smallest memory limit of the cgroup of this process, up the tree; None without one."""
    limits: list[int] = []
    for directory in cgroup_directories("memory", root=root):
        limit = _whole(_read(directory / "memory.max") or _read(directory / "memory.limit_in_bytes") or "")
        if limit is not None and 0 < limit < _UNLIMITED_BYTES:
            limits.append(limit)
    return min(limits, default=None)


def available_memory_bytes(*, root: Path = _ROOT) -> int:
    """Memory that can be taken without swapping, within the cgroup's limit."""
    for line in (_read(root / "proc/meminfo") or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            free = int(rest.split()[0]) * 1024
            break
    else:
        import psutil

        free = int(psutil.virtual_memory().available)
    rooms = [free]
    for directory in cgroup_directories("memory", root=root):
        limit = _whole(_read(directory / "memory.max") or _read(directory / "memory.limit_in_bytes") or "")
        used = _whole(_read(directory / "memory.current") or _read(directory / "memory.usage_in_bytes") or "")
        if limit is not None and used is not None and limit < _UNLIMITED_BYTES:
            rooms.append(limit - used)
    return max(0, min(rooms))


def processor(*, root: Path = _ROOT) -> str:
    """Model name of the first processor, else the machine's architecture."""
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("model name", "Model", "cpu model") and value.strip():
            return value.strip()
    return platform.machine()


def processor_features(*, root: Path = _ROOT) -> frozenset[str]:
    """Instruction sets of the first processor as the kernel names them: ``avx2``, ``avx512_vnni`` …"""
    for line in (_read(root / "proc/cpuinfo") or "").splitlines():
        name, _, value = line.partition(":")
        if name.strip() in ("flags", "Features"):
            return frozenset(value.split())
    return frozenset()


def has_vnni(*, root: Path = _ROOT) -> bool:
    """Whether the processor sums 8-bit products in 32 bits; without it they saturate, and 8 bits seldom pay.

    ARM's form of it is called ``asimddp``.
    """
    return bool(processor_features(root=root) & {"avx512_vnni", "avx_vnni", "asimddp", "amx_int8"})


def has_bfloat16(*, root: Path = _ROOT) -> bool:
    """Whether the processor computes in bfloat16; without it runtimes compute such files in float32."""
    return bool(processor_features(root=root) & {"avx512_bf16", "amx_bf16", "bf16"})


def parent_process(process: int, *, root: Path = _ROOT) -> int | None:
    """Number of the process that another belongs to; None where it has ended or cannot be seen from here."""
    fields = (_read(root / "proc" / str(process) / "stat") or "").rpartition(")")[2].split()
    return _whole(fields[1]) if len(fields) > 1 else None


def operating_system() -> str:
    """Name and version of the distribution, else of the system."""
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return f"{platform.system()} {platform.release()}"


def gpus() -> tuple[tuple[Gpu, ...], str]:
    """The NVIDIA GPUs, and a note that says why none are listed where a driver is there or something failed."""
    driver_is_there = Path("/proc/driver/nvidia/version").exists()
    try:
        import pynvml
    except ImportError:
        return (), "a driver is there, details need: pip install nvidia-ml-py" if driver_is_there else ""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        return (), f"NVML does not start: {error}" if driver_is_there else ""
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        handles = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        found = tuple(
            Gpu(
                name=_text(pynvml.nvmlDeviceGetName(handle)),
                memory_bytes=int(pynvml.nvmlDeviceGetMemoryInfo(handle).total),
                driver=driver,
            )
            for handle in handles
        )
    except pynvml.NVMLError as error:
        return (), f"NVML: {error}"
    finally:
        pynvml.nvmlShutdown()
    return found, ""


def system_info() -> SystemInfo:
    """Everything above in one value; starts no process."""
    found, note = gpus()
    return SystemInfo(
        os=operating_system(),
        kernel=f"{platform.system()} {platform.release()}",
        machine=platform.machine(),
        processor=processor(),
        logical_cpus=os.cpu_count() or 1,
        affinity_cpus=len(affinity_cpus()),
        physical_cores=physical_cores(),
        cpu_quota=cgroup_cpu_quota(),
        fair_threads=fair_threads(),
        memory_bytes=memory_bytes(),
        memory_limit_bytes=memory_limit_bytes(),
        gpus=found,
        gpu_note=note,
        python=platform.python_version(),
    )


def cgroup_directories(controller: str, *, root: Path) -> Iterator[Path]:
    """Directories of this process's cgroup and its visible ancestors, in every hierarchy that may limit it."""
    paths = dict(_cgroup_paths(root))
    for mount, mounted_root, kind, options in _cgroup_mounts(root):
        if kind == "cgroup" and controller not in options:
            continue
        path = paths.get("" if kind == "cgroup2" else controller)
        if path is None:
            continue
        # Inside a container the mount may show only a part of the tree; what lies above cannot be read.
        inside = path[len(mounted_root) :] if mounted_root != "/" and path.startswith(mounted_root) else path
        top = root / mount.lstrip("/")
        directory = top / inside.strip("/")
        while not directory.is_dir() and directory != top:
            directory = directory.parent
        while True:
            yield directory
            if directory == top:
                break
            directory = directory.parent


def _cgroup_paths(root: Path) -> Iterator[tuple[str, str]]:
    """(controller, path); the controller of the v2 hierarchy is the empty text."""
    for line in (_read(root / "proc/self/cgroup") or "").splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            yield controller, path


def _cgroup_mounts(root: Path) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """(mount point, root of the mount, ``cgroup`` or ``cgroup2``, super-block options)."""
    for line in (_read(root / "proc/self/mountinfo") or "").splitlines():
        left, _, right = line.partition(" - ")
        fields, details = left.split(), right.split()
        if len(fields) >= 5 and len(details) >= 3 and details[0] in ("cgroup", "cgroup2"):
            yield fields[4], fields[3], details[0], tuple(details[2].split(","))


def _read(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return None


def _whole(text: str) -> int | None:
    try:
        return int(text)
    except ValueError:
        return None


def _text(value: str | bytes) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
