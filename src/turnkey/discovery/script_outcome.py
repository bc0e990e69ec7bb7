"""How a script ended: the exit code that its caller would get, and the traceback without our frames."""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType

_OWN_DIRECTORY = os.path.dirname(os.path.abspath(__file__))


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptOutcome:
    """How a script ended.

    Attributes:
        exit_code: what ``python script.py`` would have returned to its caller, 0 to 255.
        error: the uncaught exception, without our frames; None if there was none.
        traceback: as Python prints it, without our frames; empty if there was no exception.
    """

    exit_code: int
    error: BaseException | None = None
    traceback: str = ""


def outcome_of(error: BaseException | None) -> ScriptOutcome:
    """The exit code of an ending, after printing what Python prints for it."""
    if error is None:
        return ScriptOutcome(exit_code=0)
    if isinstance(error, SystemExit):
        code = error.code
        if code is None:
            return ScriptOutcome(exit_code=0)
        if isinstance(code, int):
            return ScriptOutcome(exit_code=code & 0xFF)
        with suppress(OSError, ValueError):  # the script closed the stream
            print(code, file=sys.stderr)
        return ScriptOutcome(exit_code=1, error=error, traceback=f"SystemExit: {code}")
    text = "".join(traceback.format_exception(error))
    try:
        sys.excepthook(type(error), error, error.__traceback__)
    except Exception:  # noqa: BLE001 - a broken hook of the script: Python prints both, and so do we
        traceback.print_exc()
        print(text, file=sys.stderr, end="")
    return ScriptOutcome(exit_code=1, error=error, traceback=text)


def without_our_frames(error: BaseException) -> BaseException:
    """The exception with our frames taken out of its traceback, and of those it was raised from."""
    for link in chain(error):
        link.__traceback__ = _user_traceback(link.__traceback__)
    return error


def chain(error: BaseException | None) -> list[BaseException]:
    """An exception and those that it was raised from, each once."""
    links: list[BaseException] = []
    while error is not None and not any(error is link for link in links):
        links.append(error)
        error = error.__cause__ or error.__context__
    return links


def _user_traceback(trace: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    while trace is not None:
        if os.path.dirname(os.path.abspath(trace.tb_frame.f_code.co_filename)) != _OWN_DIRECTORY:
            kept.append(trace)
        trace = trace.tb_next
    result: TracebackType | None = None
    for entry in reversed(kept):
        result = TracebackType(result, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return result
