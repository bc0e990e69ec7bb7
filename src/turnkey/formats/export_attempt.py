"""One try of an export: by whom, with which axes free, and what came of it; and several of them as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

_COLUMNS = ("exporter", "outcome", "seconds", "axes", "reason")


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportAttempt:
    """One try.

    Attributes:
        exporter: who tried.
        axes: that were free, in words; ``static`` without any.
        outcome: ``chosen``, ``failed`` (to make anything) or ``disagreed`` (what it made did).
        reason: why it was not chosen.
        seconds: that it took.
    """

    exporter: str
    axes: str
    outcome: str
    reason: str
    seconds: float

    @property
    def sentence(self) -> str:
        """For notes about what was not chosen."""
        return f"{self.exporter} ({self.axes}) {self.outcome}: {self.reason}"

    def to_dict(self) -> dict[str, Any]:
        """As `turnkey.formats.format.Conversion.attempts` keeps it."""
        return asdict(self)


def attempts_table(attempts: Sequence[Mapping[str, Any]]) -> str:
    """Who was tried, with which axes, and what became of it; one line each (`Conversion.attempts`)."""
    rows = [_COLUMNS, *(tuple(str(attempt[column]) for column in _COLUMNS) for attempt in attempts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )
