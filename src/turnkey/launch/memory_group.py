"""A control group of the kernel for one isolated input, which keeps its memory limit exactly, where one can be had.

    cgroup v1   a child of the group of this process
    cgroup v2   a sibling of it, since a group with processes in it hands no controller down; only if the group has no
                limit of its own, which would be left with it

The call makes the group, the worker enters it before it does anything, and whoever closes the input removes it. Where
the system has no such groups or gives us none, the warden sums up memory instead (`turnkey.launch.limits`).

Trade-offs: the kernel counts a page for the group that touches it first, so what a worker shares with its template is
not counted, and files in the page cache are, but these are given up before anybody is killed. Of the processes in the
group the largest is killed (v1) or all of them (v2); the warden ends what is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from turnkey import host

_ROOT = Path("/")
_REMOVAL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Files:
    """Names of one version's files.

    Attributes:
        limit: in bytes.
        swap: of memory and swap together (v1), or of swap alone (v2).
        events: has a line ``oom_kill N``.
        peak: in bytes.
    """

    limit: str
    swap: str
    events: str
    peak: str


_V1 = _Files("memory.limit_in_bytes", "memory.memsw.limit_in_bytes", "memory.oom_control", "memory.max_usage_in_bytes")
_V2 = _Files("memory.max", "memory.swap.max", "memory.events", "memory.peak")


@dataclass(frozen=True, slots=True)
class MemoryGroup:
    """One group; its files are the kernel's.

    Attributes:
        directory: it is there as long as the group is.
    """

    directory: Path

    @classmethod
    def made(cls, name: str, limit_bytes: int) -> MemoryGroup | None:
        """A new group with this limit; None where there are none to be had."""
        for parent in group_places():
            group = cls(parent / name)
            if not os.access(parent / "cgroup.procs", os.W_OK):  # else nobody could be moved into it
                continue
            try:
                group.directory.mkdir()
            except OSError:
                continue
            if group._limited(limit_bytes):
                return group
            group.remove()
        return None

    def enter(self) -> None:
        """Let the kernel count what this process and its children take from now on. Raises OSError."""
        (self.directory / "cgroup.procs").write_text("0")

    @property
    def has_killed(self) -> bool:
        """Whether the kernel ended a process of the group because of its limit."""
        for line in self._read(self._files.events).splitlines():
            name, _, count = line.partition(" ")
            if name == "oom_kill":
                return int(count) > 0
        return False

    @property
    def peak_bytes(self) -> int:
        """The most that was ever in use; 0 where the kernel does not say."""
        return int(self._read(self._files.peak) or 0)

    def remove(self) -> None:
        """Remove it, once its processes have ended; nothing happens if it is not there."""
        until = time.monotonic() + _REMOVAL_SECONDS
        while self.directory.exists() and time.monotonic() < until:
            try:
                self.directory.rmdir()
            except OSError:  # the last process is just going
                time.sleep(0.02)

    @property
    def _files(self) -> _Files:
        return _V1 if (self.directory / _V1.limit).exists() else _V2

    def _limited(self, limit_bytes: int) -> bool:
        files = self._files
        try:
            if not (self.directory / files.limit).exists():  # nobody limits memory here
                return False
            (self.directory / files.limit).write_text(str(limit_bytes))
            if files is _V2:
                (self.directory / "memory.oom.group").write_text("1")
            if (self.directory / files.swap).exists():
                (self.directory / files.swap).write_text(str(limit_bytes) if files is _V1 else "0")
        except OSError:
            return False
        return True

    def _read(self, name: str) -> str:
        with suppress(OSError):
            return (self.directory / name).read_text().strip()
        return ""


def group_places(*, root: Path = _ROOT) -> Iterator[Path]:
    """Where a new group would leave none of the limits that hold for this process: beside or below what counts it."""
    directories = [*host.cgroup_directories("memory", root=root), None]
    for own, above in pairwise(directories):
        assert own is not None
        if (own / _V1.limit).exists() or _hands_memory_down(own):
            yield own
            return
        if (own / _V2.limit).exists():
            has_limit = (own / _V2.limit).read_text().strip() != "max"
            if above is not None and not has_limit and _hands_memory_down(above):
                yield above
            return


def _hands_memory_down(directory: Path) -> bool:
    try:
        return "memory" in (directory / "cgroup.subtree_control").read_text().split()
    except OSError:
        return False
