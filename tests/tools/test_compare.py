"""The tool ``compare`` as the command line calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.cli.main import main


@pytest.fixture
def records(tmp_path: Path) -> tuple[str, str]:
    """Two records of one candidate on a simulated host; the second is twice as fast."""
    paths = []
    for number, ms in enumerate((2.0, 1.0)):
        path = tmp_path / f"{number}.zip"
        simulated_record({"a": ms}, path, seed=number)
        paths.append(str(path))
    return paths[0], paths[1]


def test_it_prints_the_verdict_and_writes_what_was_asked_for(
    records: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compare", *records, "-o", str(tmp_path / "out"), "--format", "md", "json"]) == 0
    shown = capsys.readouterr().out
    assert "1.zip against 0.zip: 1 FASTER" in shown
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".md", ".json"}


def test_it_answers_in_json(records: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "compare", *records]) == 0
    document = json.loads(capsys.readouterr().out)
    [comparison] = document["tools"]["compare"]["comparisons"]
    assert comparison["pairs"][0]["verdict"]["kind"] == "FASTER"


def test_one_thing_is_no_comparison(records: tuple[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compare", records[0]]) == 2
    assert "needs two things" in capsys.readouterr().err


def test_nothing_in_common_is_said_by_the_exit_code(records: tuple[str, str], tmp_path: Path) -> None:
    other = tmp_path / "other.zip"
    simulated_record({"b": 1.0, "c": 1.0}, other, seed=3)
    assert main(["compare", records[0], str(other)]) == 1


def test_a_source_may_be_called_like_a_tool(
    records: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for source, name in zip(records, ("report", "cache"), strict=True):
        (tmp_path / name).write_bytes(Path(source).read_bytes())
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "report", "--", "cache"]) == 0
    assert "cache against report: 1 FASTER" in capsys.readouterr().out
