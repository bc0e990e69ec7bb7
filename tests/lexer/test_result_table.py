"""Result tables: what is written comes back, and what others wrote is believed only as far as it makes sense."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.lexer.result_table import csv_text, read_rows
from turnkey.lexer.row import BenchmarkRow, metrics
from turnkey.measure.validity import reason

ROW = BenchmarkRow(
    **metrics([10.0, 20.0, 30.0, 40.0], batch_size=4),
    engine="torch",
    version="2.13.0",
    batch_size=4,
    optimizer="none",
    providers="eager",
    device="cpu",
    timestamp="2026-11-01T12:00:00+00:00",
    class_name="Net",
)


@given(
    latency=st.floats(1e-6, 1e9) | st.none(),
    notes=st.text(alphabet="a ,;'\"=+-@\n", max_size=12),
    valid=st.booleans(),
)
def test_what_is_written_is_read_back(latency: float | None, notes: str, valid: bool) -> None:
    row = replace(ROW, latency_ms=latency, notes=notes, valid=valid)
    assert list(read_rows(csv_text([row, ROW]), class_name="", is_original=False)) == [row, ROW]


def test_the_reasons_of_an_invalid_row_are_found_again_among_its_notes() -> None:
    reasons = tuple(str(reason(code, "seen; twice")) for code in ("foreign-load", "steal"))
    row = replace(ROW, valid=False, notes="; ".join(["few samples", *reasons, "replication: none"]), reasons=reasons)
    [found] = read_rows(csv_text([row]), class_name="", is_original=False)
    assert found == row
    assert found.why_invalid == reasons


def test_variances_of_the_original_are_brought_to_square_milliseconds() -> None:
    [row] = read_rows(csv_text([replace(ROW, variance=0.000125)]), class_name="Net", is_original=True)
    assert row.variance == pytest.approx(125)


def test_the_text_of_a_table_is_no_formula() -> None:
    [line] = csv.DictReader(io.StringIO(csv_text([replace(ROW, class_name="=cmd()")])))
    assert line["class_name"] == "'=cmd()"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mean_ms\n1\n", "lacks the columns num_samples, variance"),
        (csv_text([ROW]).replace(",25.0,", ",nan,"), "line 2: mean_ms"),
        (f"{'x' * 200_000}\n", "line .*: field larger than field limit"),
    ],
    ids=["missing columns", "no number", "no header that anybody wrote"],
)
def test_a_table_that_makes_no_sense_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        list(read_rows(text, class_name="Net", is_original=False))
