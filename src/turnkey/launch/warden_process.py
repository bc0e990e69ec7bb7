"""How a call comes by the warden of an isolated input: a fresh interpreter, or a fork of a template.

Both are given the same: the item's file, the writing end of the messages, the reading end of the lifeline, and the log
for what is written outside of tools. Both say their process id once they have one, and their exit code at the end.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from turnkey.errors import InputError
from turnkey.pipeline import durable

_PROGRAM = """\
import os, sys
if sys.path[:1] == [""]:
    sys.path[0] = os.path.dirname(sys.executable)
from turnkey.launch.{module} import main
raise SystemExit(main(sys.argv[1:]))
"""
"""The search path of the command ``turnkey``. With ``-m``, modules of the working directory would be imported
instead of the library's; ``-P`` is a flag that scripts would see."""


class WardenProcess(Protocol):
    """The process of a warden, as the call sees it."""

    @property
    def pid(self) -> int | None:
        """None as long as it was not started, or if it never will be."""

    @property
    def descriptor(self) -> int | None:
        """Becomes readable when it has ended; None where somebody else is asked (the template), or nobody can be."""

    @property
    def is_lost(self) -> bool:
        """Whether it was never started and never will be."""

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""

    def wait(self, seconds: float) -> int | None:
        """Wait for its end, at most so long."""

    def kill(self) -> None:
        """End it by force, and collect it."""


class FreshWarden:
    """A new interpreter of its own session.

    Raises:
        InputError: the log cannot be written or no process can be started.
    """

    is_lost = False

    def __init__(self, item: Path, messages: int, lifeline: int, *, log: Path, verbose: bool) -> None:
        durable.write_bytes(log, b"")
        with open(log, "ab") as output:
            self._process = started(
                "worker",
                [str(item), str(messages), str(lifeline)],
                output.fileno(),
                (messages, lifeline),
                verbose=verbose,
            )
        self.pid: int | None = self._process.pid
        self.descriptor: int | None = None
        with suppress(OSError, AttributeError):  # no such descriptors on this system: look now and then
            self.descriptor = os.pidfd_open(self._process.pid)

    def poll(self) -> int | None:
        return self._process.poll()

    def wait(self, seconds: float) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=seconds)
        return self._process.poll()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        if self.descriptor is not None:
            os.close(self.descriptor)
            self.descriptor = None


def started(
    module: str, arguments: list[str], output: int, passed: tuple[int, ...], *, verbose: bool = False
) -> subprocess.Popen[bytes]:
    """A fresh interpreter in a session of its own that runs ``main`` of a module of this room.

    Raises:
        InputError: no process can be started.
    """
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM.format(module=module), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=None if verbose else output,
            pass_fds=passed,
            start_new_session=True,
        )
    except OSError as error:
        raise InputError(
            "no process can be started for this input",
            evidence=f"{sys.executable}: {error.strerror or error}",
            remedy="end other processes, or raise the limit: ulimit -u",
        ) from error
