"""A table on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest

from turnkey.report.rows import Table
from turnkey.report.terminal import print_table


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_without_a_terminal_rows_are_neither_wrapped_nor_coloured() -> None:
    output = io.StringIO()
    print_table(Table(columns=("build", "status"), rows=(("n" * 300, "ok"),)), output)
    assert "n" * 300 + " " in output.getvalue()
    assert "\x1b" not in output.getvalue()


def test_figures_stand_at_the_right_end_of_their_column() -> None:
    output = io.StringIO()
    rows = (("net", "9.5", "valid"), ("longer", "12,345", "not checked"))
    print_table(Table(columns=("build", "p50 ms", "verified"), rows=rows, figures=frozenset({"p50 ms"})), output)
    assert output.getvalue().splitlines()[1:] == ["net        9.5  valid", "longer  12,345  not checked"]


@pytest.mark.parametrize("output", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_a_name_can_neither_move_the_cursor_nor_be_markup(output: io.StringIO) -> None:
    print_table(Table(columns=("build", "status"), rows=(("\x1b[2Jx[red]y[/red]", "ok"),)), output)
    assert "\x1b[2J" not in output.getvalue()
    assert "x[red]y[/red]" in output.getvalue()
