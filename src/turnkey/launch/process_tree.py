"""Processes as a warden and its call deal with them: those below one, those of a session, and what ties them to it."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from contextlib import suppress
from typing import Any

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36


def descendants() -> list[int]:
    """All living processes below this one; zombies are not among them."""
    import psutil  # after the fork: the worker does not need it here

    living = []
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):
            if process.status() != psutil.STATUS_ZOMBIE:
                living.append(process.pid)
    return living


def memory_bytes(processes: list[int]) -> int:
    """Summed memory; a page shared by n processes counts 1/n in each (where the system tells, else in full)."""
    import psutil

    total = 0
    for process in processes:
        with suppress(psutil.Error):
            used = psutil.Process(process).memory_full_info()
            total += getattr(used, "pss", used.rss)
    return total


def send(process: int, number: int) -> None:
    """A signal; a process that has ended already is no error."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


def kill_session(leader: int) -> None:
    """SIGKILL to every process of a session, for the case that its warden is dead."""
    import psutil  # only in an accident

    for _ in range(100):
        members = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process.pid)
        if not members:
            return
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.01)


class ProcessDescriptor:
    """A descriptor that becomes readable when a process ends; None where the system has none."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._descriptor: int | None = None

    def __enter__(self) -> int | None:
        with suppress(OSError, AttributeError):
            self._descriptor = os.pidfd_open(self._process)
        return self._descriptor

    def __exit__(self, *_: object) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)


def become_subreaper() -> None:
    """Become the parent of all orphans below this process, also of those in sessions of their own."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def die_with_parent(wanted: bool) -> None:
    """Let the kernel kill this process when the one that started it dies, or not any more."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL if wanted else 0)


def _prctl(option: int, value: int) -> None:
    library: Any = ctypes.CDLL(None)
    if hasattr(library, "prctl"):
        library.prctl(option, value, 0, 0, 0)
