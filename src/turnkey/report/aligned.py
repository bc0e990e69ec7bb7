"""Rows of texts as a plain table with aligned columns."""

from __future__ import annotations

from collections.abc import Collection, Sequence


def aligned(rows: Sequence[Sequence[str]], *, right: Collection[int] = (), loose: Collection[int] = ()) -> str:
    """The rows, one a line; the first is the headings.

    Args:
        right: indices of columns whose cells stand at the right end.
        loose: indices of rows whose cells after the first must not widen the columns.
    """
    return "\n".join(aligned_lines(rows, right=right, loose=loose))


def aligned_lines(
    rows: Sequence[Sequence[str]], *, right: Collection[int] = (), loose: Collection[int] = ()
) -> list[str]:
    """As `aligned`, a text per row."""
    counted = [row for index, row in enumerate(rows) if index not in loose]
    widths = [max(len(row[column]) for row in counted) for column in range(len(rows[0]))]
    widths[0] = max(len(row[0]) for row in rows)

    def line(row: Sequence[str]) -> str:
        cells = enumerate(zip(row, widths, strict=True))
        return "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width) for column, (cell, width) in cells
        ).rstrip()

    return list(map(line, rows))
