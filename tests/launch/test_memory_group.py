"""Memory limits that the kernel keeps: where groups are made, and what becomes of inputs in them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from turnkey.launch import Result
from turnkey.launch.memory_group import MemoryGroup, group_places
from turnkey.launch.python_call import evaluate_files

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]

V1 = ("4:memory:/mine\n", "30 25 0:26 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n")
V2 = ("0::/above/mine\n", "30 25 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n")


@pytest.mark.parametrize(
    ("system", "files", "place"),
    [
        (V1, {"memory/mine/memory.limit_in_bytes": "9223372036854771712"}, "memory/mine"),
        (V2, {"above/mine/memory.max": "max", "above/cgroup.subtree_control": "cpu memory"}, "above"),
        (V2, {"above/mine/memory.max": "1000000", "above/cgroup.subtree_control": "cpu memory"}, None),
        (V2, {"above/mine/memory.max": "max", "above/cgroup.subtree_control": "cpu"}, None),
        (V2, {"above/mine/cgroup.procs": ""}, None),
    ],
    ids=["v1", "v2", "v2 with a limit of our own", "v2 that hands nothing down", "v2 without memory"],
)
def test_a_group_is_made_only_where_no_limit_would_be_left(
    system: tuple[str, str], files: dict[str, str], place: str | None, tmp_path: Path
) -> None:
    cgroups = tmp_path / "sys/fs/cgroup"
    for path, text in files.items():
        (cgroups / path).parent.mkdir(parents=True, exist_ok=True)
        (cgroups / path).write_text(f"{text}\n")
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text(system[0])
    (tmp_path / "proc/self/mountinfo").write_text(system[1])

    assert list(group_places(root=tmp_path)) == ([] if place is None else [cgroups / place])


@pytest.fixture
def groups() -> None:
    group = MemoryGroup.made(f"turnkey-test-{os.getpid()}", 1 << 30)
    if group is None:
        pytest.skip("this user may make no control groups here")
    group.remove()
    assert not group.directory.exists()


def limited(paths: list[Path], cache: Path) -> list[Result]:
    return evaluate_files(paths, ["obey"], cache, process_isolation=True, memory_limit="200MiB", quiet=True)


@pytest.mark.usefixtures("groups")
def test_a_leap_over_the_limit_is_caught_however_short_it_is_and_no_group_is_left(script: Writer, cache: Path) -> None:
    paths = [
        script("len(bytearray(400 << 20))", "leaps.py"),
        script("hoard = bytearray(100 << 20)", "fits.py"),
        script("__import__('psutil').Process().parent().kill()\n__import__('time').sleep(60)", "kills_warden.py"),
    ]

    results = limited(paths, cache)

    assert [result.status for result in results] == ["killed", "successful", "killed"]
    assert "memory limit" in results[0].reason
    assert "200 MiB in use, limit 200 MiB" in str(results[0].error)
    assert "memory limit" not in results[2].reason
    items = [json.loads(path.read_text()) for path in cache.glob(".calls/*/items/*.json")]
    assert len({item["memory_group"] for item in items}) == 3
    assert not any(Path(item["memory_group"]).exists() for item in items)


@pytest.mark.usefixtures("groups")
def test_what_a_killed_grandchild_leaves_running_is_ended_too(script: Writer, cache: Path) -> None:
    text = """
        import subprocess, sys, time
        subprocess.run([sys.executable, "-c", "len(bytearray(400 << 20))"])
        time.sleep(60)
        """
    (result,) = limited([script(text)], cache)

    assert result.status == "killed"
    assert "memory limit" in result.reason
