"""Rows of texts as a plain table with aligned columns."""

from __future__ import annotations

from collections.abc import Sequence

NONE = "–"
"""What is unknown, or rests on too few calls."""


def aligned(rows: Sequence[Sequence[str]], *, loose: frozenset[int] = frozenset()) -> str:
    """The rows, one a line; the first is the headings.

    Args:
        loose: indices of rows whose cells after the first must not widen the columns.
    """
    counted = [row for index, row in enumerate(rows) if index not in loose]
    widths = [max(len(row[column]) for row in counted) for column in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def milliseconds(value: float | None) -> str:
    """Three significant digits, whole ones from a second on."""
    if value is None:
        return NONE
    return f"{value:.0f}" if value >= 1000 else f"{value:.3g}"
