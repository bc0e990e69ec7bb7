"""Failures by their cause: of three hundred errors one wants to read the five that there are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from turnkey.launch.result import FAILED, Result
from turnkey.pipeline.failure_shape import shape_of

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
    messages too, apart from names, paths and numbers."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in results:
        if result.status in FAILED:
            tool = result.failure.tool if result.failure else ""
            groups.setdefault((result.status, tool, shape_of(_said(result))), []).append(result)
    found = [
        Cause(status=status, tool=tool, what=_said(alike[0]), inputs=tuple(result.input for result in alike))
        for (status, tool, _), alike in groups.items()
    ]
    return sorted(found, key=lambda cause: -len(cause.inputs))


def _said(result: Result) -> str:
    """The message; of an exception that is not ours what it says itself."""
    if result.failure is not None and not result.failure.is_known and result.failure.error.evidence:
        return f"{result.failure.error.what}: {result.failure.error.evidence.splitlines()[0]}"
    return result.reason or result.status
