"""The table on the terminal."""

from __future__ import annotations

import io

import pytest

from turnkey.report.overview import overview, print_table, remedies
from turnkey.report.rows import Table
from turnkey.report.source import collect

from .conftest import MEASUREMENT, MakeBuild


def test_a_figure_with_too_few_calls_behind_it_is_a_dash_and_the_choice_is_marked(make_build: MakeBuild) -> None:
    invalid = {
        **MEASUREMENT,
        "key": "torch",
        "validity": "INVALID",
        "reasons": ["steal: 30 % (use a quiet host)"],
        "p99_ms": 2.0,
    }
    paths = make_build("net", measurements=[MEASUREMENT, invalid], chosen=MEASUREMENT["key"])
    builds = collect([paths.cache_dir]).builds
    first, second = overview(builds).rows
    assert first[2:] == (
        "onnx-opt @ onnxruntime",
        "1.23",
        "1.5",
        "–",
        "810",
        "200 MiB",
        "44.0 MiB",
        "valid",
        "recommended",
    )
    assert second[-1] == "INVALID (steal)"
    assert remedies(builds) == ("INVALID (steal): use a dedicated machine: the hypervisor takes CPU time away",)


def test_a_build_without_measurements_says_how_far_it_came(make_build: MakeBuild) -> None:
    paths = make_build("net", "error", reason="no model was called\nmore")
    [row] = overview(collect([paths.cache_dir]).builds).rows
    assert (row[0], row[1], row[-1]) == ("net", "error", "no model was called")


def test_without_a_terminal_rows_are_neither_wrapped_nor_coloured() -> None:
    output = io.StringIO()
    print_table(Table(columns=("build", "status"), rows=(("n" * 300, "ok"),)), output)
    assert "n" * 300 + " " in output.getvalue()
    assert "\x1b" not in output.getvalue()


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize("output", [io.StringIO(), Terminal()], ids=["pipe", "terminal"])
def test_a_name_can_neither_move_the_cursor_nor_be_markup(output: io.StringIO) -> None:
    print_table(Table(columns=("build", "status"), rows=(("\x1b[2Jx[red]y[/red]", "ok"),)), output)
    assert "\x1b[2J" not in output.getvalue()
    assert "x[red]y[/red]" in output.getvalue()
