"""Names of a report's files, and that nothing is overwritten."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import InputError
from turnkey.report.files import csv_text, json_text, markdown_text, write_files
from turnkey.report.rows import Table

DAY = date(2026, 3, 1)


def test_files_are_named_after_the_day_and_never_replace_an_older_report(tmp_path: Path) -> None:
    first = write_files(tmp_path, {"csv": "1", "errors": "e"}, day=DAY)
    second = write_files(tmp_path, {"csv": "2", "measurements": "m"}, day=DAY)
    third = write_files(tmp_path, {"csv": "3"}, day=DAY)
    assert [first["csv"].name, first["errors"].name] == ["2026-03-01.csv", "errors-2026-03-01.csv"]
    assert [second["csv"].name, second["measurements"].name] == ["2026-03-01-2.csv", "2026-03-01-2-measurements.csv"]
    assert third["csv"].name == "2026-03-01-3.csv"
    assert [path.read_text() for path in (first["csv"], second["csv"], third["csv"])] == ["1", "2", "3"]


def test_a_foreign_file_of_that_name_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "2026-03-01-measurements.csv").write_text("mine")
    assert write_files(tmp_path, {"csv": "1"}, day=DAY)["csv"].name == "2026-03-01-2.csv"
    assert (tmp_path / "2026-03-01-measurements.csv").read_text() == "mine"


def test_a_full_disk_leaves_no_half_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="no space left"):
        write_files(tmp_path, {"csv": "1", "json": "{}"}, day=DAY)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError) as caught:
        write_files(tmp_path / "file" / "reports", {"csv": "1"}, day=DAY)
    assert str(tmp_path / "file") in caught.value.evidence


def test_a_hostile_cell_neither_ends_a_markdown_row_nor_becomes_markup() -> None:
    text = markdown_text("Report", {"Models": Table(columns=("name",), rows=(("a|b\n<script>[x](y)",),))})
    row = text.splitlines()[-1]
    assert row == r"| a\|b \<script\>\[x\](y) |"


def test_json_has_no_nan() -> None:
    assert json.loads(json_text({"a": [float("nan"), 1.5], "b": float("inf")})) == {"a": [None, 1.5], "b": None}


@given(st.lists(st.text(), min_size=2, max_size=2))
def test_every_cell_survives_csv(row: list[str]) -> None:
    text = csv_text(Table(columns=("a", "b"), rows=(tuple(row),)))
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], row]
