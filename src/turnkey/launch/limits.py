"""What one isolated input may use, and whether it uses more: of memory, of disk, of logs.

Trade-offs: what the kernel does not limit itself (`turnkey.launch.memory_group`) is looked at now and then, so a fast
leap may pass a limit before it is seen.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from turnkey.launch.memory_group import MemoryGroup
from turnkey.launch.process_tree import descendants, memory_bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one input may use; None is no limit.

    Attributes:
        seconds: of work, without waiting for its turn on the machine.
        memory_bytes: of the worker and all that it started.
        disk_bytes: of the build directory and the temporary one.
        output_bytes: of the logs in the build directory.
        build, scratch: those directories; an item may have no temporary one of its own.
        group: where the kernel keeps ``memory_bytes``, if it does.
    """

    seconds: float | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    output_bytes: int | None = None
    build: Path
    scratch: Path | None = None
    group: MemoryGroup | None = None

    @property
    def must_look(self) -> bool:
        """Whether something has to be read now and then."""
        return self.memory_bytes is not None or self.disk_bytes is not None or self.output_bytes is not None


class Usage:
    """What the processes below this one use, in the eyes of their limits.

    Attributes:
        used_bytes: of the files that were summed up last.
    """

    def __init__(self, limits: Limits) -> None:
        self.used_bytes = 0
        self._limits = limits
        self._peak_bytes = 0

    @property
    def peak_bytes(self) -> int:
        """The most memory that was seen; 0 without a limit of it."""
        group = self._limits.group
        return group.peak_bytes if group is not None else self._peak_bytes

    @property
    def was_killed(self) -> bool:
        """Whether the kernel ended a process because of the limit of memory."""
        return self._limits.group is not None and self._limits.group.has_killed

    def passed(self) -> str:
        """The limit that is passed now: ``memory``, ``disk``, ``output``, or nothing."""
        limits = self._limits
        if limits.memory_bytes is not None and self._passes_memory(limits.memory_bytes):
            return "memory"
        if limits.disk_bytes is not None:
            directories = (limits.build, limits.scratch)
            self.used_bytes = sum(_tree_bytes(place) for place in directories if place is not None)
            if self.used_bytes > limits.disk_bytes:
                return "disk"
        if limits.output_bytes is not None:
            self.used_bytes = _log_bytes(limits.build)
            if self.used_bytes > limits.output_bytes:
                return "output"
        return ""

    def _passes_memory(self, limit_bytes: int) -> bool:
        if self._limits.group is not None:
            return self.was_killed
        used = memory_bytes(descendants())
        self._peak_bytes = max(self._peak_bytes, used)
        return used > limit_bytes


def _tree_bytes(directory: Path) -> int:
    """Of all files below a directory; folders that a script removes meanwhile are passed over."""
    return sum(_file_bytes(os.path.join(folder, name)) for folder, _, names in os.walk(directory) for name in names)


def _log_bytes(build: Path) -> int:
    try:
        names = os.listdir(build)
    except OSError:  # removed by the script
        return 0
    return sum(_file_bytes(build / name) for name in names if name.startswith("log_") and name.endswith(".txt"))


def _file_bytes(path: str | Path) -> int:
    """Size of a regular file; 0 for anything else, and for what vanishes meanwhile."""
    try:
        status = os.lstat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0
