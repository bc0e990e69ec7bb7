"""The warden: the small process between a call and one isolated worker, which sees to it that nothing is left over.

It leads a session of its own, forks the worker while it is still small, and does nothing but wait: for the worker's
end, the time limit, the memory limit, a word from the call, or the call's death. Since it is the *subreaper* of all
that the worker starts, even a grandchild in a session of its own comes back to it and is killed at the end.

    call ── lifeline (closed: the call died; ``i``: interrupt) ──> warden ── fork ──> worker ── grandchildren
      <──────────────── messages (JSON lines) ──────────────────────┴──────────────────┘

A worker in native code that never returns cannot watch over itself; that is why this is another process. If the
warden itself is killed, the kernel kills the worker (parent-death signal) and the call cleans up the session.

Trade-offs: what the input uses (`turnkey.launch.limits`) is read twice a second, and not at all while a tool measures.
Time that a tool waits for its turn on the machine is not the input's, and does not count.

Scope: Linux in full; elsewhere there is neither subreaper nor parent-death signal, and grandchildren are found by
parentage only.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

from turnkey.launch.limits import Limits, Usage
from turnkey.launch.memory_group import MemoryGroup
from turnkey.launch.process_tree import ProcessDescriptor, become_subreaper, descendants, die_with_parent, send
from turnkey.launch.shared_flags import Flags

TERMINATION_SECONDS = 5.0
"""From SIGTERM (or the interrupt) to SIGKILL."""

STACKS_SIGNAL = signal.SIGRTMIN + 7 if hasattr(signal, "SIGRTMIN") else signal.SIGUSR2
"""Makes the worker write the stacks of all its threads to its log; one that scripts hardly use."""

_STACKS_SECONDS = 0.3
_LOOK_SECONDS = 0.5
_SURVIVOR_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a worker ended.

    Attributes:
        exit_code: of the worker; negative for a signal.
        cause: ``timeout``, ``memory``, ``disk``, ``output``, ``interrupted``, ``orphaned`` if the warden ended it,
            else empty.
        peak_bytes: highest summed memory that was seen; 0 without a memory limit.
        used_bytes: of the input's files when they reached the limit of disk or output, else 0.
    """

    exit_code: int
    cause: str = ""
    peak_bytes: int = 0
    used_bytes: int = 0


def supervise(work: Callable[[Flags], int], *, lifeline: int, limits: Limits) -> Ending:
    """Fork a worker, wait for its end, and leave no process behind.

    Args:
        work: what the worker does; returns its exit code.
        lifeline: descriptor that the call keeps open as long as it lives.
    """
    become_subreaper()
    flags = Flags()
    myself = os.getpid()
    worker = os.fork()
    if worker == 0:
        _become_worker(work, flags, lifeline, myself, limits.group)
    return _Watch(worker, flags, lifeline, limits).until_ended()


def _become_worker(
    work: Callable[[Flags], int], flags: Flags, lifeline: int, warden: int, group: MemoryGroup | None
) -> NoReturn:
    """In the child: never returns, but ends the interpreter in the orderly way (threads, ``atexit``)."""
    os.close(lifeline)
    os.setpgid(0, 0)  # a script that kills its process group must not meet its warden there
    die_with_parent(True)
    if os.getppid() != warden:  # it died before the kernel was told
        raise SystemExit(1)
    if group is not None:
        group.enter()
    raise SystemExit(work(flags))


class _Watch:
    """Waits for one worker."""

    def __init__(self, worker: int, flags: Flags, lifeline: int, limits: Limits) -> None:
        self._worker = worker
        self._flags = flags
        self._lifeline: int | None = lifeline
        self._limits = limits
        self._deadline = time.monotonic() + limits.seconds if limits.seconds is not None else None
        self._done_by: float | None = None
        self._usage = Usage(limits)
        self._exit_code: int | None = None

    def until_ended(self) -> Ending:
        cause = ""
        while self._exit_code is None:
            word = self._wait(self._patience())
            self._reap()
            if self._exit_code is not None:
                break
            cause = self._reason_to_end(word)
            if cause:
                self._end(cause)
        ending = Ending(
            exit_code=self._exit_code if self._exit_code is not None else -signal.SIGKILL,
            cause="memory" if not cause and self._usage.was_killed else cause,
            peak_bytes=self._usage.peak_bytes,
            used_bytes=self._usage.used_bytes if cause in ("disk", "output") else 0,
        )
        self._kill_survivors()
        return ending

    def _reason_to_end(self, word: str) -> str:
        if word:
            return word
        now = time.monotonic()
        if self._deadline is not None and now >= self._deadline + self._flags.waited_seconds:
            return "timeout"
        if self._flags.is_done:  # the result is sent; what hangs now is the interpreter's end
            self._done_by = self._done_by or now + TERMINATION_SECONDS
            return "finished" if now >= self._done_by else ""
        return "" if self._flags.measures or not self._limits.must_look else self._usage.passed()

    def _patience(self) -> float:
        """Seconds until something has to be looked at."""
        looks = self._limits.must_look and not self._flags.measures
        patience = _LOOK_SECONDS if looks or self._flags.is_done else 2.0
        if self._deadline is not None:
            patience = min(patience, max(0.0, self._deadline + self._flags.waited_seconds - time.monotonic()))
        return patience

    def _wait(self, seconds: float) -> str:
        """Wait for the worker's end or a word from the call; the cause to end if there is one."""
        watched = [self._lifeline] if self._lifeline is not None else []
        with ProcessDescriptor(self._worker) as descriptor:
            if descriptor is None:
                seconds = min(seconds, 0.05)
            else:
                watched.append(descriptor)
            ready, _, _ = select.select(watched, [], [], seconds)
        if self._lifeline in ready and self._lifeline is not None:
            word = os.read(self._lifeline, 1)
            if word == b"i":
                return "interrupted"
            self._lifeline = None
            return "orphaned"
        return ""

    def _end(self, cause: str) -> None:
        """End the worker and all that it started."""
        if cause in ("memory", "disk", "output", "orphaned", "finished"):
            self._kill_until_gone(descendants())
        elif cause == "interrupted":
            send(self._worker, signal.SIGINT)
        else:
            send(self._worker, STACKS_SIGNAL)
            self._reap_for(_STACKS_SECONDS)
            for process in descendants():
                send(process, signal.SIGTERM)
        self._reap_for(TERMINATION_SECONDS)
        self._kill_until_gone(descendants())
        self._reap_for(TERMINATION_SECONDS)

    def _reap_for(self, seconds: float) -> None:
        """Wait until the worker has ended, at most so long; a call that dies meanwhile ends the wait."""
        until = time.monotonic() + seconds
        while self._exit_code is None and time.monotonic() < until:
            if self._wait(min(0.1, seconds)) == "orphaned":
                until = 0.0
            self._reap()

    def _reap(self) -> bool:
        """Collect the worker if it has ended, and orphans that came to us; True if no child is left."""
        while True:
            try:
                process, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return True
            if process == 0:
                return False
            if process == self._worker:
                self._exit_code = os.waitstatus_to_exitcode(status)

    def _kill_survivors(self) -> None:
        """Grandchildren that outlived the worker: asked first, then killed."""
        survivors = descendants()
        for process in survivors:
            send(process, signal.SIGTERM)
        until = time.monotonic() + _SURVIVOR_SECONDS
        while survivors and descendants() and time.monotonic() < until:
            self._reap()
            time.sleep(0.02)
        self._kill_until_gone(descendants())
        until = time.monotonic() + _SURVIVOR_SECONDS
        while not self._reap() and time.monotonic() < until:  # who is dead but not collected would stay a zombie
            time.sleep(0.01)

    def _kill_until_gone(self, processes: list[int]) -> None:
        """Again and again: a process may have forked between the look and the kill."""
        for _ in range(100):
            if not processes:
                return
            for process in processes:
                send(process, signal.SIGKILL)
            time.sleep(0.01)
            self._reap()
            processes = descendants()
