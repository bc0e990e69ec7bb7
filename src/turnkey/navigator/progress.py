"""What a run tells while it works: every line to its log, the steps to the terminal's error stream.

How much reaches the terminal: ``$TURNKEY_LOG_LEVEL`` (``warning`` what failed or was left out, ``info`` every step,
``debug`` the measuring too), which ``verbose=True`` raises to ``debug``; nothing with ``TURNKEY_CONSOLE_OUTPUT=0``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from turnkey import settings


class Progress:
    """Tells about one run.

    Args:
        log: where every line goes.
        verbose: show everything.
    """

    def __init__(self, log: Path, *, verbose: bool = False) -> None:
        self._log = log
        level = settings.LOG_LEVELS[-1] if verbose else settings.log_level()
        self._shown = settings.LOG_LEVELS[: settings.LOG_LEVELS.index(level) + 1] if settings.console_output() else ()

    def warn(self, text: str) -> None:
        """Something failed or was left out."""
        self._tell(text, "warning")

    def step(self, text: str) -> None:
        """A step begins or is done."""
        self._tell(text, "info")

    def detail(self, text: str) -> None:
        """What happens within a step."""
        self._tell(text, "debug")

    def _tell(self, text: str, level: str) -> None:
        line = text.rstrip("\n")
        with self._log.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        if level in self._shown:
            print(line, file=sys.stderr, flush=True)
