"""``turnkey report --from``: a record's numbers without the build it came from."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path

import pytest

from turnkey.cli.main import main
from turnkey.measure import Shape, TargetDescription, run_load

RECORD = Path(__file__).parents[1] / "measure/records/schema-1.zip"


def test_a_record_is_reported_from_its_file_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--from", str(RECORD)]) == 0
    shown = capsys.readouterr().out
    assert "a is the fastest of 3 so far; b is 1.13× [1.09, 1.16] slower than a" in shown
    assert "SLOWER 0.89×" in shown


def test_json_holds_the_same_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "report", "--from", str(RECORD)]) == 0
    [document] = json.loads(capsys.readouterr().out)["tools"]["report"]
    by_key = {entry["key"]: entry for entry in document["candidates"]}
    assert by_key["b"]["latency_ms"] == pytest.approx(6.376278, abs=1e-6)
    assert by_key["b"]["percentiles_ms"]["99"] is None
    assert [verdict["kind"] for verdict in document["verdicts"]] == ["SLOWER", "UNDECIDED"]


def test_what_is_no_record_is_an_error_with_its_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.zip").write_text("hello")
    assert main(["report", "--from", str(tmp_path / "x.zip")]) != 0
    captured = capsys.readouterr()
    assert "x.zip" in captured.out + captured.err


@pytest.mark.needs("jinja2")
def test_the_record_of_a_load_shape_is_reported_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "load.zip"
    target = TargetDescription(
        key="numpy", factory="turnkey.measure.numpy_target:load_numpy", arguments={"kernels": 2, "size": 5000}
    )
    kept = run_load(target, Shape(kind="offline", seconds=0.05, rounds=1), path=path)
    assert main(["report", "--from", str(path)]) == 0
    shown = capsys.readouterr().out
    assert "load shape offline" in shown
    assert kept.sentence() in shown
    assert main(["--json", "report", "--from", str(path)]) == 0
    [document] = json.loads(capsys.readouterr().out)["tools"]["report"]
    assert document["rate_per_s"] == pytest.approx(kept.rate_per_s)
    page = tmp_path / "page"
    assert main(["--json", "report", "--from", str(path), "--html", "-o", str(page)]) == 0
    [html] = page.glob("*.html")
    assert escape(kept.sentence()) in html.read_text(encoding="utf-8")
