"""What the user sees while inputs are worked on: a picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from turnkey import settings
from turnkey.launch.plain_lines import PlainLines, own_stderr
from turnkey.pipeline.events import Event


class Monitor(Protocol):
    """Shows events; ``notes`` are those that were told, for ``--json``."""

    notes: list[str]

    def listen(self, event: Event) -> None:
        """Take note of an event and show it when that is allowed."""

    def note(self, text: str) -> None:
        """Show a line that belongs to no input."""


@contextmanager
def open_monitor(*, inputs: int, cache_dir: Path, quiet: bool, verbose: bool) -> Iterator[Monitor]:
    """The monitor that fits this terminal and the user's wishes; closed at the end.

    With ``verbose`` the terminal belongs to what scripts and tools print: it is not redrawn.
    """
    with own_stderr() as stream:
        can_draw = stream.isatty() and os.environ.get("TERM") != "dumb"
        if quiet or verbose or not can_draw or not settings.monitor_enabled():
            yield PlainLines(stream, inputs=inputs, quiet=quiet)
            return
        from turnkey.cli.live import LiveMonitor

        with LiveMonitor(stream, inputs=inputs, cache_dir=cache_dir) as monitor:
            yield monitor
