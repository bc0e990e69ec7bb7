"""What the user sees while inputs are worked on.

Without a terminal, or where the user wants no monitor: one plain line per finished tool, no control codes. Lines go
to a duplicate of the standard error that was open at the start, because tools run with their descriptors redirected
into logs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from turnkey import settings
from turnkey.pipeline.events import Event

_HARMLESS = ("successful", "skipped")


class Monitor(Protocol):
    """Shows events; ``notes`` are those that were told, for ``--json``."""

    notes: list[str]

    def listen(self, event: Event) -> None:
        """Take note of an event and show it when that is allowed."""

    def note(self, text: str) -> None:
        """Show a line that belongs to no input."""


class PlainMonitor:
    """One line per finished tool and input, and the notes; nothing at all when ``quiet``."""

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._told: set[str] = set()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._line(text)

    def listen(self, event: Event) -> None:
        name = event.build_name or event.input
        if event.kind == "input-started":
            self._line(f'Building "{name}"')
        elif event.kind == "tool-finished":
            self._line(f"{name}: {event.tool} {_ending(event)}")
            if event.status not in _HARMLESS:
                self._told.add(name)
        elif event.kind == "input-finished" and event.status not in _HARMLESS and name not in self._told:
            self._line(f"{name}: {_ending(event)}")  # no tool of it could say so: timed out, killed
        elif event.kind == "note":
            self.note(event.text)

    def _line(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


def _ending(event: Event) -> str:
    return f"{event.status} ({event.seconds:.1f} s)" + (f": {event.text}" if event.text else "")


@contextmanager
def open_monitor(*, inputs: int, cache_dir: Path, quiet: bool, verbose: bool) -> Iterator[Monitor]:
    """The monitor that fits this terminal and the user's wishes; closed at the end.

    With ``verbose`` the terminal belongs to what scripts and tools print: it is not redrawn.
    """
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except OSError:  # a notebook's or a test's stand-in has no descriptor; nothing can redirect it either
        yield PlainMonitor(sys.stderr, quiet=quiet)
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="replace") as stream:
        can_draw = stream.isatty() and os.environ.get("TERM") != "dumb"
        if quiet or verbose or not can_draw or not settings.monitor_enabled():
            yield PlainMonitor(stream, quiet=quiet)
            return
        from turnkey.cli.live import LiveMonitor

        with LiveMonitor(stream, inputs=inputs, cache_dir=cache_dir) as monitor:
            yield monitor
