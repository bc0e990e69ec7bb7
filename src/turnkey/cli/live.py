"""The live monitor: inputs and tools on a terminal, redrawn by rich.

Two rules. It is redrawn at most every 0.5 s, by a thread of its own. And while a tool measures that thread waits,
without waking, until the tool has finished: only when the tool says where it is, which it does between timed calls and
about every ten seconds, the picture is drawn once.
"""

from __future__ import annotations

import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TextIO

from rich.console import Console, ConsoleDimensions, Group
from rich.live import Live
from rich.text import Text

from turnkey.cli.board import Block, Board, StyledLine
from turnkey.cli.durations import read_durations
from turnkey.launch.tally import MANY_INPUTS, Tally
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import Event

_REDRAW_SECONDS = 0.5
_MOST_BLOCKS = 12
"""Inputs at work that are shown tool by tool; beyond them one line each would not fit a terminal."""
_STYLES = {"successful": "green", "running": "cyan", "title": "bold", "skipped": "yellow", "waiting": "dim"}


class LiveMonitor:
    """Draws a board on a terminal.

    Args:
        stream: a terminal that stays open while tools have their descriptors redirected.
        inputs: how many there are; with many, a finished one becomes one line.
        cache_dir: where earlier runs of the builds left their durations.
    """

    def __init__(self, stream: TextIO, *, inputs: int, cache_dir: Path) -> None:
        self._console = Console(file=stream, force_terminal=True, highlight=False, markup=False, emoji=False)
        self._live = Live(
            console=self._console, auto_refresh=False, transient=True, redirect_stdout=False, redirect_stderr=False
        )
        self._board = Board(
            ascii_only=not _can_encode_marks(stream),
            expected_seconds=lambda build: read_durations(BuildPaths(cache_dir, build)),
        )
        self._in_full = inputs < MANY_INPUTS
        self._tally = Tally(inputs=inputs)
        self._finished: list[StyledLine] = []
        # Guards everything above and below; also what the drawing thread waits on.
        self._changed = threading.Condition()
        self._measuring: set[str] = set()
        self._stopped = False
        self._thread = threading.Thread(target=self._redraw, name="turnkey-monitor", daemon=True)
        self.notes: list[str] = []

    def __enter__(self) -> LiveMonitor:
        self._live.start()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join()
        self._live.update(Group(), refresh=True)  # what was being drawn is no longer true
        self._print_finished()
        self._live.stop()

    def note(self, text: str) -> None:
        self._note(text, is_shown=True)

    def _note(self, text: str, *, is_shown: bool) -> None:
        with self._changed:
            self.notes.append(text)
            if is_shown:
                self._finished.extend(StyledLine(text=line, status="note") for line in text.splitlines())

    def listen(self, event: Event) -> None:
        if event.kind == "note":
            self.note(event.text)
            return
        if event.kind == "listing":
            self._note(event.text, is_shown=self._tally.shows_listings)
            return
        with self._changed:
            self._tally.apply(event, now=time.monotonic())
            block = self._board.apply(event, now=time.monotonic())
            if block is not None:
                self._finished.extend(self._summary(block))
                self._measuring.discard(event.build_name or event.input)
                self._changed.notify_all()
            elif event.kind == "tool-started" and event.measures:
                self._draw()  # the picture that stands until the tool says where it is
                self._measuring.add(event.build_name or event.input)
            elif event.kind == "tool-progress" and self._measuring:
                self._draw()
            elif event.kind == "tool-finished" and self._measuring:
                self._measuring.discard(event.build_name or event.input)
                self._changed.notify_all()

    def _summary(self, block: Block) -> list[StyledLine]:
        if self._in_full:
            return self._board.block_lines(block, now=time.monotonic())
        return [self._board.summary_line(block)]

    def _redraw(self) -> None:
        with self._changed:
            while not self._stopped:
                if self._measuring:
                    self._changed.wait()
                    continue
                self._draw()
                self._changed.wait_for(lambda: self._stopped, timeout=_REDRAW_SECONDS)

    def _draw(self) -> None:
        self._fit()
        # First the picture, then what stays: printing draws the picture that rich has at that moment once more.
        self._live.update(Group(*map(_text, self._picture())), refresh=True)
        self._print_finished()

    def _picture(self) -> list[StyledLine]:
        """What is at work: tool by tool where that fits, and of many inputs how far the call is."""
        now = time.monotonic()
        if self._in_full:
            return self._board.lines(now=now)
        lines = self._board.lines(now=now) if self._board.size == 1 else self._board.short_lines(now=now)
        return [*lines[:_MOST_BLOCKS], StyledLine(text=self._tally.line(now=now), status="title")]

    def _fit(self) -> None:
        """Take the size of the terminal from our own stream: rich would ask descriptors that lead into a log now."""
        with suppress(OSError):  # no terminal to ask: rich's own idea of the size stays
            columns, lines = os.get_terminal_size(self._console.file.fileno())
            self._console.size = ConsoleDimensions(columns or 80, lines or 25)  # some terminals say 0

    def _print_finished(self) -> None:
        """What stays on the terminal: blocks of finished inputs and notes, above what is redrawn."""
        if self._finished:
            self._console.print(Group(*map(_text, self._finished)))
            self._finished.clear()


def _text(line: StyledLine) -> Text:
    return Text(line.text, style=_STYLES.get(line.status, "" if line.status == "note" else "red"))


def _can_encode_marks(stream: TextIO) -> bool:
    try:
        "✓✗▸–·".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
