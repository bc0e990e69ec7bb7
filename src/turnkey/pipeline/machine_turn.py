"""Turns on the processors of this machine: many may build at a time, but whoever measures has its processors alone.

Every tool takes a turn before it works: building tools a *shared* one, measuring tools an *exclusive* one, on the
processors that its process may use. A measurement that waits keeps new tools from starting, so it comes to its turn
when those at work have finished. Calls on the same machine respect each other through one file; jobs that a cluster
confines to different processors do not meet, since a turn is taken processor by processor:

    byte p          room of processor p: read-locked by builders, write-locked by a measurement
    byte 65536 + p  door of processor p: held while waiting for the room, so that who came later comes later

The locks are the kernel's (open file description locks): they end with their process however that ends, and who waits
sleeps in the kernel. filelock, which guards our build directories, looks again every 50 ms and knows no shared lock;
both would be felt by what is being timed.

A program that a tool starts and that uses Turnkey itself (a script that calls the command line) works within the turn
of its ancestor; else it would wait for a tool that waits for it.

Trade-offs: a turn belongs to a process, not to a thread; a tool that runs further tools inside its turn keeps the
kind of the outer one. Scope: Linux. Where the system has no such locks, nobody takes turns.
"""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from turnkey import settings
from turnkey.host import affinity_cpus, parent_process

_DOORS = 65536
_LAYOUT = "hhqqi4x"
"""struct flock: type, whence, start, length, process (0 for locks of a file description)."""

_taken: list[bool] = []
"""Whether this process is inside a turn; nested turns are part of it."""


@contextmanager
def machine_turn(
    *,
    measures: bool,
    on_wait: Callable[[tuple[int, ...]], None] = lambda holders: None,
    tell: Callable[[str], None] = lambda text: None,
    cpus: Iterable[int] | None = None,
) -> Iterator[None]:
    """Have a turn on the processors while the context lasts.

    Args:
        measures: alone on them, else together with other builders.
        on_wait: called once if somebody else has to finish first, with the numbers of the processes that have a turn
            there, as far as this user may see them.
        tell: is told why no turns can be taken here, if that is so.
        cpus: numbers of processors; by default those that this process may use.

    Raises:
        KeyboardInterrupt: passed on, also while waiting.
    """
    path = settings.machine_lock()
    if path is None or _taken or not hasattr(fcntl, "F_OFD_SETLKW"):
        yield
        return
    try:
        descriptor = _opened(path)
    except OSError as error:
        tell(f"no turns on this machine: {path} cannot be opened ({error.strerror}); measurements may be disturbed")
        yield
        return
    _taken.append(measures)
    try:
        _enter(descriptor, path, list(_ranges(affinity_cpus() if cpus is None else cpus)), measures, on_wait)
        yield
    finally:
        _taken.pop()
        _give_back(descriptor)
        os.close(descriptor)


def _enter(
    descriptor: int,
    path: Path,
    ranges: list[tuple[int, int]],
    measures: bool,
    on_wait: Callable[[tuple[int, ...]], None],
) -> None:
    """Doors and rooms, lowest processor first: equal order everywhere, so nobody waits in a circle."""
    kind = fcntl.F_WRLCK if measures else fcntl.F_RDLCK
    told = False
    for start, length in ranges:
        for wanted, place in ((fcntl.F_WRLCK, _DOORS + start), (kind, start)):
            if not _lock(descriptor, wanted, place, length, wait=False):
                if not told:
                    if _is_within_turn(path):
                        _give_back(descriptor)
                        return
                    on_wait(_holders(path))
                    told = True
                _lock(descriptor, wanted, place, length, wait=True)
        _lock(descriptor, fcntl.F_UNLCK, _DOORS + start, length, wait=False)


def _give_back(descriptor: int) -> None:
    """Release everything, also for forked children, which share the description."""
    with suppress(OSError):
        _lock(descriptor, fcntl.F_UNLCK, 0, 0, wait=False)


def _lock(descriptor: int, kind: int, start: int, length: int, *, wait: bool) -> bool:
    """Take or give back; False if somebody else has it and we do not wait."""
    command = fcntl.F_OFD_SETLKW if wait else fcntl.F_OFD_SETLK
    try:
        fcntl.fcntl(descriptor, command, struct.pack(_LAYOUT, kind, os.SEEK_SET, start, length, 0))
    except BlockingIOError:
        return False
    return True


def _opened(path: Path) -> int:
    """The file, made if it is missing; every user of the machine may lock it, nobody has anything to write to it."""
    with suppress(FileNotFoundError):
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
    with suppress(PermissionError):  # somebody else was faster, and did it
        os.fchmod(descriptor, 0o666)
    return descriptor


def _ranges(cpus: Iterable[int]) -> Iterator[tuple[int, int]]:
    """(first, count) of neighbouring numbers, ascending."""
    start = previous = -1
    for cpu in sorted(set(cpus)):
        if cpu != previous + 1 or start < 0:
            if start >= 0:
                yield start, previous - start + 1
            start = cpu
        previous = cpu
    if start >= 0:
        yield start, previous - start + 1


def _is_within_turn(path: Path) -> bool:
    """Whether a process above this one has a turn: the kernel shows the locks of a description beside it."""
    process: int | None = os.getppid()
    target = os.path.realpath(path)
    while process is not None and process > 1:
        if _has_turn(process, target):
            return True
        process = parent_process(process)
    return False


def _holders(path: Path) -> tuple[int, ...]:
    """Processes that have a turn, or are ahead of us in the queue for one; ascending."""
    target = os.path.realpath(path)
    numbers = sorted(int(name) for name in os.listdir("/proc") if name.isdecimal())
    return tuple(number for number in numbers if number != os.getpid() and _has_turn(number, target))


def _has_turn(process: int, target: str) -> bool:
    with suppress(OSError):  # another user's process, or one that has ended
        for number in os.listdir(f"/proc/{process}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{process}/fd/{number}") == target and _holds(process, number):
                    return True
    return False


def _holds(process: int, descriptor: str) -> bool:
    lines = Path(f"/proc/{process}/fdinfo/{descriptor}").read_text().splitlines()
    return any(line.startswith("lock:") for line in lines)
