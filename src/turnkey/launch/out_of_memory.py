"""Evidence that the kernel, not the program, ended a process: the out-of-memory counter of our cgroup."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

_FILES = (
    Path("/sys/fs/cgroup/memory.events"),
    Path("/sys/fs/cgroup/memory/memory.oom_control"),
    Path("/proc/vmstat"),
)
"""cgroup v2, cgroup v1, and the whole machine; all have a line ``oom_kill N``."""


def oom_kills() -> int | None:
    """How many processes were killed for lack of memory so far; None where that cannot be read."""
    for file in _FILES:
        with suppress(OSError, ValueError):
            for line in file.read_text().splitlines():
                name, _, count = line.partition(" ")
                if name == "oom_kill":
                    return int(count)
    return None
