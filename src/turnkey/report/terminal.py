"""A table on a terminal, or in a file or pipe in its place."""

from __future__ import annotations

import sys
import textwrap
from collections.abc import Collection, Sequence
from typing import IO

from turnkey.pipeline.printable import printable
from turnkey.report.aligned import aligned, aligned_lines
from turnkey.report.figure import NONE
from turnkey.report.remark import RECOMMENDED
from turnkey.report.rows import Table

_INDENT = "    "
Rows = Sequence[Sequence[str]]


def print_table(table: Table, file: IO[str] | None = None) -> None:
    """Print a table as aligned text, headings first; on a terminal it is folded to its width. Nothing is cut.

    Args:
        file: where to; None is stdout.
    """
    file = file or sys.stdout
    rows = [table.columns, *([printable(cell) for cell in row] for row in table.rows)]
    right = {index for index, column in enumerate(table.columns) if column in table.figures}
    if not file.isatty():
        print(aligned(rows, right=right), file=file)
        return
    from rich.console import Console  # costs tens of milliseconds: only on a terminal
    from rich.text import Text

    console = Console(file=file, highlight=False)
    for number, (row, lines) in enumerate(zip(rows, folded(rows, right=right, width=console.width), strict=True)):
        for line in lines:
            text = Text(line, style="" if number else "bold")  # not markup: names come from files of strangers
            if any(cell.startswith(RECOMMENDED) for cell in row):
                text.highlight_words([RECOMMENDED], "green")
            console.print(text, soft_wrap=True)


def folded(rows: Rows, *, width: int, right: Collection[int] = ()) -> list[list[str]]:
    """The lines of each row, the headings' first, in a terminal of this width.

    One line each where all fit. Else what the last column says goes under its row where it must, as long as the
    others fit; else the figures of each row, still aligned, stand under its texts, unless it has none.

    Args:
        right: indices of the columns that hold figures.
    """
    whole = aligned_lines(rows, right=right)
    if _widest(whole) <= width:
        return [[line] for line in whole]
    if len(rows[0]) > 1 and len(rows[0]) - 1 not in right:
        before = aligned_lines([row[:-1] for row in rows], right=right)
        if _widest(before) <= width:
            return [
                [one] if len(one) <= width else [line, *_wrapped(row[-1], width, first=_INDENT)]
                for row, line, one in zip(rows, before, whole, strict=True)
            ]
    texts = ["  ".join(cell for index, cell in enumerate(row) if cell and index not in right) for row in rows]
    if not right:
        return [_wrapped(text, width) for text in texts]
    figures = [[cell for index, cell in enumerate(row) if index in right] for row in rows]
    under = aligned_lines(figures, right=range(len(right)))
    return [
        [*_wrapped(text, width), *([] if set(cells) <= {NONE} else [_INDENT + line])]
        for text, cells, line in zip(texts, figures, under, strict=True)
    ]


def _widest(lines: Sequence[str]) -> int:
    return max(map(len, lines))


def _wrapped(text: str, width: int, *, first: str = "") -> list[str]:
    return textwrap.wrap(
        text, width, initial_indent=first, subsequent_indent=_INDENT, break_long_words=False, break_on_hyphens=False
    )
