"""A ``turnkey`` call seen from outside: its time, the CPU seconds of all its processes, the memory of its workers.

A call that takes hours is worked on in *parts*: when it was stopped, the same call goes on with what is missing, and
its figures are the sums over all parts. ``parts.json`` beside its cache keeps them. The part at work is written down
every few seconds, so that one that was killed outright is counted up to then.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import psutil

from turnkey.pipeline import durable

_LOOK_SECONDS = 0.5
_KEEP_SECONDS = 5.0
_FINISHED_CODES = (0, 1)
"""Exit codes of a call that has a result for every input."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """What one run of the command took.

    Attributes:
        began: UTC, in ISO format.
        wall_s, cpu_s: until it ended; of the command with all processes below it, the template included.
        worker_bytes: the largest proportional set size of one worker; looked at twice a second.
        processors: how many it was allowed to use.
        is_whole: it came to its end by itself, so that nothing is missing.
    """

    began: str
    wall_s: float = 0.0
    cpu_s: float = 0.0
    worker_bytes: int = 0
    processors: int = 0
    is_whole: bool = False


class WatchedCall:
    """One call over many inputs, in one part or more.

    Args:
        folder: its own; the cache of the call is ``folder/cache``.
    """

    def __init__(self, folder: Path) -> None:
        self.cache = folder / "cache"
        self.errors = folder / "errors.txt"
        self._journal = folder / "parts.json"
        folder.mkdir(parents=True, exist_ok=True)
        self.parts: tuple[Part, ...] = ()
        if self._journal.exists():
            self.parts = tuple(Part(**each) for each in json.loads(self._journal.read_text()))

    @property
    def is_finished(self) -> bool:
        """Whether its last part came to its end."""
        return bool(self.parts) and self.parts[-1].is_whole

    @property
    def wall_s(self) -> float:
        return sum(part.wall_s for part in self.parts)

    @property
    def cpu_s(self) -> float:
        return sum(part.cpu_s for part in self.parts)

    @property
    def worker_bytes(self) -> int:
        return max((part.worker_bytes for part in self.parts), default=0)

    def run(self, words: Sequence[str]) -> None:
        """Run one part; ``words`` are those of the command line after ``turnkey``.

        Raises:
            KeyboardInterrupt, SystemExit: passed on, after the command has ended and its part was written down.
        """
        earlier = self.parts
        before, clock = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        began = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self._keep(earlier, Part(began=began, processors=len(os.sched_getaffinity(0))))
        with open(self.errors, "ab") as errors:
            process = subprocess.Popen(
                [sys.executable, "-m", "turnkey.cli.main", *words],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                process_group=0,  # an interrupt comes from us, and once
            )
        try:
            self._watch(process.pid, earlier, clock)
        except BaseException:
            process.send_signal(signal.SIGINT)
            raise
        finally:
            code = process.wait()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
            wall_s = time.perf_counter() - clock
            whole = code in _FINISHED_CODES
            self._keep(earlier, replace(self.parts[-1], wall_s=wall_s, cpu_s=cpu_s, is_whole=whole))

    def _watch(self, process: int, earlier: tuple[Part, ...], clock: float) -> None:
        """Look at the processes of the command until it has ended."""
        descriptor = os.pidfd_open(process)
        part, kept_at = self.parts[-1], clock
        try:
            while not select.select([descriptor], [], [], _LOOK_SECONDS)[0]:
                with suppress(psutil.Error):  # it has just ended
                    cpu_s, worker_bytes = _figures(process)
                    part = replace(part, cpu_s=cpu_s, worker_bytes=max(part.worker_bytes, worker_bytes))
                self.parts = (*earlier, part)
                if time.perf_counter() - kept_at > _KEEP_SECONDS:
                    kept_at = time.perf_counter()
                    self._keep(earlier, replace(part, wall_s=kept_at - clock))
        finally:
            os.close(descriptor)

    def _keep(self, earlier: tuple[Part, ...], part: Part) -> None:
        self.parts = (*earlier, part)
        durable.write_text(self._journal, json.dumps([asdict(each) for each in self.parts], indent=1) + "\n")


def _figures(process: int) -> tuple[float, int]:
    """CPU seconds of a command so far, and the memory of its largest worker.

    A process counts itself and those that it has collected, so the sum over all that live counts everyone once.
    Workers are those with no process below them that are no children of the command: it starts template and wardens.

    Raises:
        psutil.Error: the command has ended.
    """
    command = psutil.Process(process)
    family = command.children(recursive=True)
    parents = {member.ppid() for member in family if member.is_running()}
    cpu_s, largest = sum(command.cpu_times()[:4]), 0
    for member in family:
        with suppress(psutil.NoSuchProcess):
            cpu_s += sum(member.cpu_times()[:4])
            if member.pid not in parents and member.ppid() != process:
                largest = max(largest, member.memory_full_info().pss)
    return cpu_s, largest
