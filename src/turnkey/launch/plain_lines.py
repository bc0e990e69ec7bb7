"""What happens, in plain lines: one per finished or waiting tool, and where a measurement is; no control codes.

For who watches without a terminal, or without wanting one redrawn. Lines go to a duplicate of the standard error that
was open at the start, because tools run with their descriptors redirected into logs.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from turnkey.launch.tally import MANY_INPUTS, Tally
from turnkey.pipeline.events import Event

_TALLY_SECONDS = 30.0
_PROGRESS_SECONDS = 8.0
"""A little less than the ten seconds at which a measurement tells where it is: in step with it, every other word would
come a moment too early."""
_HARMLESS = ("successful", "skipped")


class PlainLines:
    """Takes events and prints them; ``notes`` are those that were told, for ``--json``.

    Args:
        inputs: how many there are; with many, one line per finished input, and now and then how far the call is.
        quiet: print nothing.
        clock: monotonic seconds.
    """

    def __init__(
        self, stream: TextIO, *, inputs: int = 1, quiet: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stream = stream
        self._quiet = quiet
        self._clock = clock
        self._is_corpus = inputs >= MANY_INPUTS
        self._tally = Tally(inputs=inputs)
        self._next_tally = 0.0
        self._next_progress = 0.0
        self._place = ""
        self._told: set[str] = set()
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)
        self._line(text)

    def listen(self, event: Event) -> None:
        name = event.build_name or event.input
        if event.kind == "note":
            self.note(event.text)
        elif event.kind == "listing":
            self.notes.append(event.text)
            if self._tally.shows_listings and not event.echoed:
                self._line(event.text)
        elif self._is_corpus:
            self._count(event, name)
        elif event.kind == "input-started":
            self._line(f'Building "{name}"')
        elif event.kind == "tool-waiting":
            self._line(f"{name}: {event.tool} {event.text}")
        elif event.kind in ("tool-started", "tool-progress"):
            self._progress(event, name)
        elif event.kind == "tool-finished":
            self._line(f"{name}: {event.tool} {_ending(event)}")
            if event.status not in _HARMLESS:
                self._told.add(name)
        elif event.kind == "input-finished" and event.status not in _HARMLESS and name not in self._told:
            self._line(f"{name}: {_ending(event)}")  # no tool of it could say so: timed out, killed

    def _progress(self, event: Event, name: str) -> None:
        """That a measurement began, what it does first, and then now and then where it is: it may take minutes.

        It is told between slices, never while calls are timed.
        """
        now = self._clock()
        if event.kind == "tool-started":
            if event.measures:
                self._line(f"{name}: {event.tool} started: {event.text}")
                self._next_progress, self._place = now, ""
        elif now >= self._next_progress and event.text != self._place:
            self._line(f"{name}: {event.tool}: {event.text}")
            self._next_progress, self._place = now + _PROGRESS_SECONDS, event.text

    def _count(self, event: Event, name: str) -> None:
        """Of many inputs: how each ended, and every half minute a tally, with where the measurement at work is."""
        now = self._clock()
        self._tally.apply(event, now=now)
        if event.kind == "input-finished":
            self._line(f"{name}: {_ending(event)}")
        elif event.kind != "tool-progress":  # it comes between slices; anything else might fall into one
            return
        if now >= self._next_tally:
            self._next_tally = now + _TALLY_SECONDS
            self._line(self._tally.line(now=now))
            if event.kind == "tool-progress":
                self._line(f"{name}: {event.tool}: {event.text}")

    def _line(self, text: str) -> None:
        if not self._quiet:
            print(text, file=self._stream, flush=True)


@contextmanager
def own_stderr() -> Iterator[TextIO]:
    """The standard error as it is now, whatever its descriptor is turned to meanwhile."""
    try:
        descriptor = os.dup(sys.stderr.fileno())
    except (OSError, AttributeError):  # a notebook's or a test's stand-in has none; nothing can redirect it either
        yield sys.stderr
        return
    with os.fdopen(descriptor, "w", encoding=sys.stderr.encoding, errors="replace") as stream:
        yield stream


def _ending(event: Event) -> str:
    return f"{event.status} ({event.seconds:.1f} s)" + (f": {event.text}" if event.text else "")
