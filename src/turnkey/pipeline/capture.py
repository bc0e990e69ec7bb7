"""The log of one tool: everything that it, its libraries in C and its child processes write goes to one file.

File descriptors 1 and 2 themselves point to the log while a tool works, so that nothing escapes: neither ``printf`` in
a library nor a child process. Before they are switched, and before they are switched back, Python's and C's buffers
are flushed, so that every byte lands on its side of the border. Standard input is empty meanwhile.

Trade-offs: whoever draws on the terminal meanwhile needs a duplicate of descriptor 1 of its own. With ``echo`` the
terminal is fed by following the file, at most a tenth of a second late; the tool never waits for the terminal.
"""

from __future__ import annotations

import ctypes
import fcntl
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from turnkey.pipeline import durable

_FOLLOW_SECONDS = 0.1


@contextmanager
def captured(log: Path, *, first_line: str, echo: bool = False, quiet_until_end: bool = False) -> Iterator[None]:
    """Send descriptors 1 and 2 to a new log that begins with one line of ours.

    Args:
        log: replaced if it exists.
        first_line: without its line break.
        echo: copy the log to standard error as it grows (standard output is for results).
        quiet_until_end: copy it only at the end: nothing may run beside what is being timed.

    Raises:
        InputError: the log cannot be written.
    """
    try:
        target = _opened(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_NOFOLLOW)
    except OSError as error:
        raise durable.cannot_write(log, error) from error
    try:
        try:
            os.write(target, f"{first_line}\n".encode())
        except OSError as error:
            raise durable.cannot_write(log, error) from error
        with _redirected(target, follow=log if echo else None, live=not quiet_until_end):
            yield
    finally:
        os.close(target)


def log_tail(log: Path, *, lines: int = 30, limit_bytes: int = 64 * 1024) -> str:
    """The last lines of a log; empty if there is none."""
    try:
        with open(log, "rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - limit_bytes))
            text = file.read(limit_bytes).decode("utf-8", "replace")
    except OSError:
        return ""
    return "\n".join(text.splitlines()[-lines:])


@contextmanager
def _redirected(target: int, *, follow: Path | None, live: bool) -> Iterator[None]:
    switch = _Switch(target, follow=follow, live=live)
    try:
        yield
    finally:
        switch.back()


class _Switch:
    """Descriptors 0, 1 and 2 and Python's streams on them, switched away and back."""

    def __init__(self, target: int, *, follow: Path | None, live: bool) -> None:
        with _uninterrupted():
            flush_everything()
            self._saved = {descriptor: _duplicate(descriptor) for descriptor in (0, 1, 2)}
            self._streams = sys.stdin, sys.stdout, sys.stderr
            nothing = _opened(Path(os.devnull), os.O_RDONLY)
            for descriptor, source in ((0, nothing), (1, target), (2, target)):
                os.dup2(source, descriptor, inheritable=True)
            os.close(nothing)
            # New objects, since the present ones may be somebody's stand-in that never reaches descriptor 1.
            sys.stdin = io.TextIOWrapper(io.FileIO(0, "rb", closefd=False), encoding="utf-8", errors="replace")
            sys.stdout, sys.stderr = _text_stream(1), _text_stream(2)
        self._follower = _Follower(follow, self._saved[2], live=live) if follow is not None else None

    def back(self) -> None:
        with _uninterrupted():
            flush_everything()
            sys.stdin, sys.stdout, sys.stderr = self._streams
            for descriptor, copy in self._saved.items():
                if copy is None:
                    os.close(descriptor)
                else:
                    os.dup2(copy, descriptor, inheritable=True)
            if self._follower is not None:
                self._follower.finish()
            for copy in self._saved.values():
                if copy is not None:
                    os.close(copy)


@contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C waits until the descriptors are where they belong; else later output would go to the wrong place."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def flush_everything() -> None:
    """Flush Python's standard streams and all of C's buffers."""
    for stream in {sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__}:
        if stream is not None:
            with suppress(OSError, ValueError):  # a full disk or a closed stream: what was written so far counts
                stream.flush()
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).fflush(None)


def _text_stream(descriptor: int) -> TextIO:
    raw = io.FileIO(descriptor, "wb", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding="utf-8", errors="backslashreplace", line_buffering=True, newline="\n"
    )


def _opened(path: Path, flags: int) -> int:
    """A descriptor above the standard ones, also where those are closed and the system would hand them out."""
    first = os.open(path, flags, 0o644)
    try:
        return fcntl.fcntl(first, fcntl.F_DUPFD_CLOEXEC, 3)
    finally:
        os.close(first)


def _duplicate(descriptor: int) -> int | None:
    try:
        return fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 3)
    except OSError:  # closed by whoever started us
        return None


class _Follower:
    """Copies a growing file to a descriptor, from a thread; or, if not ``live``, as a whole at the end."""

    def __init__(self, path: Path, descriptor: int | None, *, live: bool) -> None:
        self._path = path
        self._descriptor = descriptor
        self._finished = threading.Event()
        self._thread = threading.Thread(target=self._run, name="turnkey-echo", daemon=True)
        self._live = live
        if live:
            self._thread.start()

    def finish(self) -> None:
        """Copy what is left and stop."""
        self._finished.set()
        if self._live:
            self._thread.join()
        else:
            self._run()

    def _run(self) -> None:
        with open(self._path, "rb") as file, suppress(OSError):  # a closed terminal ends the copy, not the tool
            while True:
                last = self._finished.wait(_FOLLOW_SECONDS)
                content = file.read()
                if content and self._descriptor is not None:
                    os.write(self._descriptor, content)
                if last:
                    return
