"""Failures by their cause: of three hundred errors one wants to read the five that there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from turnkey.launch.result import Result
from turnkey.pipeline.failure import FAILED
from turnkey.pipeline.failure_shape import by_cause

_SHOWN_INPUTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Inputs that failed alike.

    Attributes:
        status: ``error``, ``timeout``, ``killed``.
        tool: at work when they failed; empty if none was.
        what: the message of the first of them.
        inputs: all of them, in the order of the call.
    """

    status: str
    tool: str
    what: str
    inputs: tuple[str, ...]

    def __str__(self) -> str:
        shown = ", ".join(self.inputs[:_SHOWN_INPUTS])
        more = f" and {len(self.inputs) - _SHOWN_INPUTS} more" if len(self.inputs) > _SHOWN_INPUTS else ""
        at = f"{self.tool}: " if self.tool else ""
        return f"{len(self.inputs)} × {self.status}  {at}{self.what}\n    {shown}{more}"


def causes(results: Iterable[Result]) -> list[Cause]:
    """One per cause, the most frequent first; two failures share one if status and tool are the same and their
    messages too, apart from names, paths and numbers. What was interrupted did not fail."""
    failed = [result for result in results if result.status in FAILED and not result.was_interrupted]
    return [
        Cause(
            status=alike[0].status,
            tool=_tool(alike[0]),
            what=_said(alike[0]),
            inputs=tuple(result.input for result in alike),
        )
        for alike in by_cause(failed, place=lambda result: (result.status, _tool(result)), message=_said)
    ]


def _tool(result: Result) -> str:
    return result.failure.tool if result.failure else ""


def _said(result: Result) -> str:
    """The message; of an exception that is not ours what it says itself."""
    if result.failure is not None and not result.failure.is_known and result.failure.error.evidence:
        return f"{result.failure.error.what}: {result.failure.error.evidence.splitlines()[0]}"
    return result.reason or result.status
