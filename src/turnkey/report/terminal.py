"""A table on a terminal, or in a file or pipe in its place."""

from __future__ import annotations

import sys
from typing import IO

from turnkey.pipeline.printable import printable
from turnkey.report.aligned import aligned
from turnkey.report.remark import RECOMMENDED
from turnkey.report.rows import Table


def print_table(table: Table, file: IO[str] | None = None) -> None:
    """Print a table: with lines and wrapped cells on a terminal, else as plain aligned text, nothing wrapped or cut.

    Args:
        file: where to; None is stdout.
    """
    file = file or sys.stdout
    rows = [[printable(cell) for cell in row] for row in table.rows]
    if not file.isatty():
        right = {index for index, column in enumerate(table.columns) if column in table.figures}
        print(aligned([table.columns, *rows], right=right), file=file)
        return
    from rich.box import SIMPLE_HEAD  # costs tens of milliseconds: only on a terminal
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in table.columns:
        is_figure = column in table.figures
        may_wrap = not is_figure and column != "status"  # one word each
        grid.add_column(column, justify="right" if is_figure else "left", no_wrap=not may_wrap, overflow="fold")
    for row in rows:
        # Text, not markup: names come from files of strangers.
        grid.add_row(*(Text(cell, style="green" if cell.startswith(RECOMMENDED) else "") for cell in row))
    Console(file=file, highlight=False).print(grid)
