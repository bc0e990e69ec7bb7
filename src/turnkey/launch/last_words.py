"""What the log of a dead tool says at its end, with the frames of Turnkey itself left out of the stacks."""

from __future__ import annotations

import re
from pathlib import Path

from turnkey.pipeline.capture import log_tail

_OURS = str(Path(__file__).resolve().parent.parent)
_FRAME = re.compile(r'\s+File "(?P<file>[^"]*)", line ')
_LEFT_OUT = ("Extension modules: ",)


def last_words(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log without our frames, those of frozen modules, and faulthandler's list of extensions."""
    kept = [line for line in log_tail(log, lines=400).splitlines() if line.strip() and not _is_noise(line)]
    return "\n".join(kept[-lines:])


def _is_noise(line: str) -> bool:
    frame = _FRAME.match(line)
    if frame:
        return frame["file"].startswith((_OURS + "/", "<frozen "))
    return line.startswith(_LEFT_OUT)
