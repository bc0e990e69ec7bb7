"""A table on a terminal and in a pipe."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.report.rows import Table
from turnkey.report.terminal import folded, print_table

ROWS = [
    ["build", "candidate", "p50 ms", "size", "verified", ""],
    ["mobilenet", "torch", "22", "9.7 MiB", "valid", "INVALID (foreign-load)"],
    ["mobilenet", "onnx-opt @ onnxruntime", "8.11", "9.7 MiB", "valid", "recommended"],
    ["broken", "–", "–", "–", "–", "no exporter could write it"],
]
FIGURES = {2, 3}


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


def test_a_table_that_fits_the_terminal_has_a_line_for_each_row() -> None:
    lines = folded(ROWS, right=FIGURES, width=100)
    assert [len(row) for row in lines] == [1, 1, 1, 1]


def test_what_the_last_column_says_goes_under_a_row_that_is_too_long() -> None:
    headings, first, second, _ = folded(ROWS, right=FIGURES, width=75)
    assert headings == ["build      candidate               p50 ms     size  verified"]
    assert first[1:] == ["    INVALID (foreign-load)"]
    assert second == ["mobilenet  onnx-opt @ onnxruntime    8.11  9.7 MiB  valid     recommended"]


def test_in_a_narrow_terminal_aligned_figures_stand_under_their_texts() -> None:
    assert [line for row in folded(ROWS, right=FIGURES, width=45) for line in row] == [
        "build  candidate  verified",
        "    p50 ms     size",
        "mobilenet  torch  valid  INVALID",
        "    (foreign-load)",
        "        22  9.7 MiB",
        "mobilenet  onnx-opt @ onnxruntime  valid",
        "    recommended",
        "      8.11  9.7 MiB",
        "broken  –  –  no exporter could write it",
    ]


CELL = st.text(st.characters(codec="utf-8", categories=("L", "N")), max_size=30)


@given(st.data(), st.integers(1, 5), st.integers(1, 200))
def test_nothing_is_cut_whatever_the_width(data: st.DataObject, columns: int, width: int) -> None:
    rows = data.draw(st.lists(st.lists(CELL, min_size=columns, max_size=columns), min_size=1, max_size=4))
    right = data.draw(st.sets(st.integers(0, columns - 1)))
    for row, lines in zip(rows, folded(rows, right=right, width=width), strict=True):
        shown = " ".join(lines).split()
        assert sorted(shown) == sorted(cell for cell in row if cell)


def test_a_terminal_of_eighty_columns_shows_every_name() -> None:
    output = Terminal()
    columns, *rows = ROWS
    print_table(
        Table(columns=tuple(columns), rows=tuple(map(tuple, rows)), figures=frozenset({"p50 ms", "size"})), output
    )
    assert "onnx-opt @ onnxruntime" in output.getvalue()
    assert "no exporter could write it" in output.getvalue()
