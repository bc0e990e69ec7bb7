"""What the user sees while inputs are worked on.

Without a terminal, or where the user wants no monitor: one plain line per finished tool, and one where a tool waits
for its turn on this machine; no control codes. Lines go to a duplicate of the standard error that was open at the
start, because tools run with their descriptors redirected into logs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol, TextIO

from turnkey import settings
from turnkey.cli.tally import MANY_INPUTS, Tally
from turnkey.pipeline.events import Event

_TALLY_SECONDS = 30.0
_HARMLESS = ("successful", "skipped")


class Monitor(Protocol):
    """Shows events; ``notes`` are those that were told, for ``--json``."""

    notes: list[str]

    def listen(self, event: Event) -> None:
        """Take note of an event and show it when that is allowed."""

    def note(self, text: str) -> None:
        """Show a line that belongs to no input."""


class PlainMonitor:
    """One line per finished or waiting tool and input, and the notes; nothing at all when ``quiet``.

    Args:
        inputs: how many there are; with many, one line per finished input, and now and then how far the call is.
    """

    def __init__(self, stream: TextIO, *, inputs: int = 1, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet
        self._is_corpus = inputs >= MANY_INPUTS
        self._tally = Tally(inputs=inputs)
        self._next_tally = 0.0
        self._told: set[str] = set()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._line(text)

    def listen(self, event: Event) -> None:
        name = event.build_name or event.input
        if self._is_corpus and event.kind != "note":
            self._count(event, name)
        elif event.kind == "input-started":
            self._line(f'Building "{name}"')
        elif event.kind == "tool-waiting":
            self._line(f"{name}: {event.tool} {event.text}")
        elif event.kind == "tool-finished":
            self._line(f"{name}: {event.tool} {_ending(event)}")
            if event.status not in _HARMLESS:
                self._told.add(name)
        elif event.kind == "input-finished" and event.status not in _HARMLESS and name not in self._told:
            self._line(f"{name}: {_ending(event)}")  # no tool of it could say so: timed out, killed
        elif event.kind == "note" and event.echoed:
            self.notes.append(event.text)
        elif event.kind == "note":
            self.note(event.text)

    def _count(self, event: Event, name: str) -> None:
        """Of many inputs: how each ended, and a tally at most every half minute. Nothing is printed in between."""
        now = time.monotonic()
        self._tally.apply(event, now=now)
        if event.kind == "input-finished":
            self._line(f"{name}: {_ending(event)}")
            if now >= self._next_tally:
                self._next_tally = now + _TALLY_SECONDS
                self._line(self._tally.line(now=now))

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
        yield PlainMonitor(sys.stderr, inputs=inputs, quiet=quiet)
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="replace") as stream:
        can_draw = stream.isatty() and os.environ.get("TERM") != "dumb"
        if quiet or verbose or not can_draw or not settings.monitor_enabled():
            yield PlainMonitor(stream, inputs=inputs, quiet=quiet)
            return
        from turnkey.cli.live import LiveMonitor

        with LiveMonitor(stream, inputs=inputs, cache_dir=cache_dir) as monitor:
            yield monitor
