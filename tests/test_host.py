"""Facts about the machine, read from files that a test can replace by another machine's."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from turnkey import host


def machine(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


V2_MOUNT = "30 25 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_MOUNT = "31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"


def test_the_smallest_quota_up_the_tree_counts(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "proc/self/mountinfo": V2_MOUNT,
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/a/b/cpu.max": "765000 100000\n",
        },
    )
    assert host.cgroup_cpu_quota(root=root) == 1.5


def test_a_quota_of_cgroup_v1_is_read_from_its_two_files(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "5:cpu,cpuacct:/docker/1\n0::/\n",
            "proc/self/mountinfo": V1_MOUNT,
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_quota_us": "50000\n",
            "sys/fs/cgroup/cpu,cpuacct/docker/1/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us": "-1\n",
            "sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us": "100000\n",
        },
    )
    assert host.cgroup_cpu_quota(root=root) == 0.5


def test_a_container_that_sees_only_its_own_part_of_the_tree_finds_its_quota(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/docker/1\n",
            "proc/self/mountinfo": "30 25 0:26 /docker/1 /sys/fs/cgroup ro - cgroup2 cgroup rw\n",
            "sys/fs/cgroup/cpu.max": "200000 100000\n",
        },
    )
    assert host.cgroup_cpu_quota(root=root) == 2.0


def test_no_quota_and_no_cgroup_files_are_none(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2_MOUNT,
            "sys/fs/cgroup/cpu.max": "max 100000\n",
            "sys/fs/cgroup/memory.max": "max\n",
        },
    )
    assert host.cgroup_cpu_quota(root=root) is None
    assert host.memory_limit_bytes(root=root) is None
    assert host.cgroup_cpu_quota(root=tmp_path / "empty") is None


def test_memory_that_can_be_taken_respects_the_limit_of_the_cgroup(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            "proc/self/cgroup": "0::/\n",
            "proc/self/mountinfo": V2_MOUNT,
            "proc/meminfo": "MemTotal: 9000 kB\nMemAvailable: 8000 kB\n",
            "sys/fs/cgroup/memory.max": "5000000\n",
            "sys/fs/cgroup/memory.current": "2000000\n",
        },
    )
    assert host.memory_limit_bytes(root=root) == 5_000_000
    assert host.available_memory_bytes(root=root) == 3_000_000


def test_hyper_threads_of_one_core_count_once(tmp_path: Path) -> None:
    root = machine(
        tmp_path,
        {
            f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list": siblings
            for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"])
        },
    )
    assert host.physical_cores((0, 1, 2, 3), root=root) == 2
    assert host.physical_cores((0, 2), root=root) == 1


@pytest.mark.parametrize(("quota", "threads"), [(None, 4), (2.65, 2), (0.5, 1), (64.0, 4)])
def test_fair_threads_round_a_quota_down(monkeypatch: pytest.MonkeyPatch, quota: float | None, threads: int) -> None:
    monkeypatch.setattr(host, "affinity_cpus", lambda: tuple(range(8)))
    monkeypatch.setattr(host, "physical_cores", lambda: 4)
    monkeypatch.setattr(host, "cgroup_cpu_quota", lambda: quota)
    assert host.fair_threads() == threads


def test_system_info_starts_no_process(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("a process was started")

    monkeypatch.setattr(subprocess, "Popen", refuse)
    monkeypatch.setattr(os, "system", refuse)
    facts = host.system_info().to_dict()
    assert facts["memory_bytes"] > 0
    assert facts["processor"]
    assert 1 <= facts["fair_threads"] <= facts["affinity_cpus"]


class FakeNvml(types.ModuleType):
    """The few functions of pynvml that are used, for a machine with one GPU; there is none where tests run."""

    class NVMLError(Exception):
        pass

    def __init__(self, failing: str = "") -> None:
        super().__init__("pynvml")
        self.open = 0
        self._failing = failing

    def __getattr__(self, name: str) -> object:
        answers = {
            "nvmlSystemGetDriverVersion": b"570.1",
            "nvmlDeviceGetCount": 1,
            "nvmlDeviceGetHandleByIndex": "handle",
            "nvmlDeviceGetName": "NVIDIA H100",
            "nvmlDeviceGetMemoryInfo": types.SimpleNamespace(total=80 << 30),
        }

        def answer(*arguments: object) -> object:
            if name == self._failing:
                raise self.NVMLError("not today")
            self.open += {"nvmlInit": 1, "nvmlShutdown": -1}.get(name, 0)
            return answers.get(name)

        return answer


def test_a_gpu_is_named_with_memory_and_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    assert host.gpus() == ((host.Gpu(name="NVIDIA H100", memory_bytes=80 << 30, driver="570.1"),), "")
    assert fake.open == 0


@pytest.mark.parametrize("failing", ["nvmlInit", "nvmlDeviceGetName"])
def test_a_driver_that_fails_is_no_gpu_and_no_error(failing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = FakeNvml(failing)
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    found, note = host.gpus()
    assert found == ()
    assert "not today" in note or failing == "nvmlInit"
    assert fake.open == 0


@pytest.mark.parametrize(
    ("flags", "vnni", "bfloat16"),
    [
        ("flags\t: fpu sse2 avx2 fma", False, False),
        ("flags\t: avx2 avx512_vnni avx512_bf16", True, True),
        ("flags\t: avx2 avx_vnni", True, False),
        ("Features\t: fp asimd asimddp bf16", True, True),
    ],
    ids=["Zen 3", "Sapphire Rapids", "Alder Lake", "Neoverse V1"],
)
def test_narrow_arithmetic_is_read_from_the_names_of_the_kernel(
    tmp_path: Path, flags: str, vnni: bool, bfloat16: bool
) -> None:
    root = machine(tmp_path, {"proc/cpuinfo": f"processor\t: 0\nmodel name\t: x\n{flags}\n"})
    assert (host.has_vnni(root=root), host.has_bfloat16(root=root)) == (vnni, bfloat16)
