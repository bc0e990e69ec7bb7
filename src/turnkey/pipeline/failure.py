"""What is known about a tool that failed, in a form that crosses a process border."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError, from_dict

FAILED = frozenset({"error", "timeout", "killed"})
"""Statuses of inputs and builds that failed."""

_OURS = str(Path(__file__).resolve().parent.parent)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """One failure.

    Attributes:
        error: the three parts; for an exception that is not ours, made from it.
        tool: name in the sequence of the tool at work; empty outside of tools.
        is_known: whether the error is one of ours; anything else prints as ``Unknown turnkey error``.
        user_traceback: what script, model or library raised, without our own frames; may be empty.
        full_traceback: everything.
    """

    error: TurnkeyError
    tool: str = ""
    is_known: bool = True
    user_traceback: str = ""
    full_traceback: str = ""

    @classmethod
    def of(cls, exception: BaseException, *, tool: str = "") -> Failure:
        """The failure that an exception means."""
        full = "".join(traceback.format_exception(exception))
        if isinstance(exception, TurnkeyError):
            cause = exception.__cause__
            return cls(
                error=exception,
                tool=tool,
                user_traceback=_without_our_frames(cause) if cause is not None else "",
                full_traceback=full,
            )
        text = str(exception).strip()
        return cls(
            error=TurnkeyError(
                f"{tool or 'turnkey'} ended with {type(exception).__name__}",
                evidence=text or repr(exception),
                remedy="the log of the tool has the traceback; TURNKEY_TRACEBACK=True shows it here",
            ),
            tool=tool,
            is_known=False,
            user_traceback=_without_our_frames(exception),
            full_traceback=full,
        )

    @property
    def text(self) -> str:
        """The three parts, then what script, model or library raised."""
        return "\n".join(part for part in (str(self.error), self.user_traceback) if part)

    def detached(self) -> Failure:
        """The same without the frames of the exception, which would keep models alive."""
        error = self.error
        return replace(self, error=type(error)(error.what, evidence=error.evidence, remedy=error.remedy))

    def to_dict(self) -> dict[str, Any]:
        return {
            "error": self.error.to_dict(),
            "tool": self.tool,
            "is_known": self.is_known,
            "user_traceback": self.user_traceback,
            "full_traceback": self.full_traceback,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any]) -> Failure:
        return cls(**{**fields, "error": from_dict(fields["error"])})


def _without_our_frames(exception: BaseException) -> str:
    """A traceback with the frames of this package taken out, also from the exceptions it was raised from."""
    summary = traceback.TracebackException.from_exception(exception)
    for link in _chain(summary):
        link.stack = traceback.StackSummary.from_list([frame for frame in link.stack if not _is_ours(frame.filename)])
    return "".join(summary.format())


def _chain(summary: traceback.TracebackException) -> Iterator[traceback.TracebackException]:
    pending: list[traceback.TracebackException | None] = [summary]
    seen: set[int] = set()
    while pending:
        link = pending.pop()
        if link is None or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        pending.extend((link.__cause__, link.__context__, *(link.exceptions or ())))


def _is_ours(filename: str) -> bool:
    return filename.startswith(_OURS + "/") or filename.startswith("<frozen ")
