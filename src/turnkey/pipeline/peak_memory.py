"""Peak resident memory of one stretch of work, without a thread that samples (it would disturb what is measured).

On Linux the kernel keeps the high-water mark of a process and lets us reset it (``clear_refs``); children are seen
through the high-water mark of all that were waited for, which only grows: a child that needed less than an earlier one
did is not seen.
"""

from __future__ import annotations

import resource
import sys
from contextlib import suppress
from pathlib import Path

_CLEAR = Path("/proc/self/clear_refs")
_STATUS = Path("/proc/self/status")


class PeakMemory:
    """Starts at construction; `peak_bytes` says the peak since then."""

    def __init__(self) -> None:
        with suppress(OSError):  # read-only /proc: the mark then covers the process's life
            _CLEAR.write_text("5")
        self._children_before = _largest_child_bytes()

    def peak_bytes(self) -> int:
        """Highest resident size of this process, or of one child that grew beyond all earlier ones."""
        children = _largest_child_bytes()
        return max(_own_peak_bytes(), children if children > self._children_before else 0)


def _own_peak_bytes() -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * _UNIT


def _largest_child_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * _UNIT


_UNIT = 1 if sys.platform == "darwin" else 1024
