"""What the log of a dead tool says at its end, with the frames of Turnkey itself left out of the stacks."""

from __future__ import annotations

import re
from pathlib import Path

from turnkey.pipeline.capture import log_tail

_OURS = str(Path(__file__).resolve().parent.parent)
_FRAME = re.compile(r'\s+File "(?P<file>[^"]*)", line ')
_SOURCE = "    "
"""Begins the lines of a traceback that show the code of the frame above, and where in it."""
_LEFT_OUT = ("Extension modules: ",)


def last_words(log: Path, *, lines: int = 15) -> str:
    """The last lines of a log without our frames, those of frozen modules, and faulthandler's list of extensions."""
    kept: list[str] = []
    is_in_ours = False
    for line in log_tail(log, lines=400).splitlines():
        frame = _FRAME.match(line)
        if frame:
            is_in_ours = frame["file"].startswith((_OURS + "/", "<frozen "))
        elif is_in_ours:
            is_in_ours = line.startswith(_SOURCE)
        if line.strip() and not is_in_ours and not line.startswith(_LEFT_OUT):
            kept.append(line)
    return "\n".join(kept[-lines:])
