"""Where an export or a benchmark is, for who waits at a terminal: the words that the command line shows, a line each.

A tool's monitor is told already, by `turnkey.pipeline.events.tell_progress`; a script that calls a context has none.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from turnkey import settings
from turnkey.pipeline.events import progress_told_to


@contextmanager
def told_on_terminal() -> Iterator[None]:
    """While the context lasts, words of progress are lines on the error stream, if that is a terminal.

    Within a tool it is a log, and whoever watches the tool goes on being told. ``$TURNKEY_CONSOLE_OUTPUT`` says no.
    """
    stream = sys.stderr  # None where the descriptor is closed
    if stream is None or not stream.isatty() or not settings.console_output():
        yield
        return
    with progress_told_to(lambda text: print(text, file=stream, flush=True)):
        yield
