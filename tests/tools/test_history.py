"""The tool ``history`` as the command line calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.cli.main import main


def record(path: Path, *, ms: float, seed: int) -> str:
    simulated_record({"a": ms}, path, seed=seed)
    return str(path)


def test_records_are_added_once_and_shown_as_series(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [record(tmp_path / str(number) / "net.zip", ms=1.0, seed=number) for number in range(3)]
    command = ["-d", str(tmp_path / "cache"), "--json", "history", "--label", "v1", "--add", *paths]
    for new in (3, 0):
        assert main(command) == 0
        answer = json.loads(capsys.readouterr().out)["tools"]["history"]
        assert answer["added"] == new
        [series] = answer["series"]
        assert [point["label"] for point in series["points"]] == ["v1"] * 3
    assert (tmp_path / "cache" / "history.sqlite").is_file()


@pytest.mark.needs("jinja2")
def test_a_page_is_written_where_it_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [record(tmp_path / str(number) / "net.zip", ms=1.0, seed=number) for number in range(2)]
    file = tmp_path / "kept.sqlite"
    assert main(["history", "--file", str(file), "--add", *paths, "--html", "-o", str(tmp_path / "out")]) == 0
    [page] = (tmp_path / "out").iterdir()
    assert page.name.endswith("-history.html"), "it stands beside reports of the day"
    assert "Trend of net, a" in page.read_text(encoding="utf-8")
    assert str(page) in capsys.readouterr().out


def test_what_cannot_be_read_is_named_and_the_rest_added(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = record(tmp_path / "net.zip", ms=1.0, seed=0)
    assert main(["-d", str(tmp_path), "history", "--add", path, str(tmp_path / "gone")]) == 1
    shown = capsys.readouterr()
    assert "1 new row" in shown.out
    assert "gone" in shown.err
