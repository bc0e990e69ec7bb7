"""SIGTERM ends a call as Ctrl-C does: what it holds is given back, what is finished is shown.

Without this the process is gone at once, and leaves behind what only it knows of: measuring workers that sleep,
temporary directories, the worktrees of `turnkey.report.gate`.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType


@dataclass(slots=True)
class Termination:
    """Whether the process was told to end."""

    was_told: bool = False


@contextmanager
def sigterm_interrupts() -> Iterator[Termination]:
    """While the context lasts, the first SIGTERM raises KeyboardInterrupt; a second one kills, as ever.

    A process that a script forks has the handler too, and must not: there the signal does what it always does.
    """
    found = Termination()
    own = os.getpid()

    def take(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        if os.getpid() != own:
            os.kill(os.getpid(), signal.SIGTERM)
            return
        found.was_told = True
        raise KeyboardInterrupt

    try:
        before = signal.signal(signal.SIGTERM, take)
    except ValueError:  # not the main thread: only that one may have handlers
        yield found
        return
    try:
        yield found
    finally:
        signal.signal(signal.SIGTERM, before)
