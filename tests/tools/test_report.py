"""The tool ``report`` as the command line calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_name import claim_directory
from turnkey.pipeline.statistics import write_statistics
from turnkey.pipeline.tool import ManagementContext
from turnkey.tools.report import Report


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    for name in ("first", "second"):
        paths = BuildPaths(tmp_path / "cache", name)
        claim_directory(paths, f"/somewhere/{name}.py")
        write_statistics(paths, {"build_name": name, "build_status": "successful", "model_name": name})
    return tmp_path / "cache"


def context(cache: Path, **fields: object) -> ManagementContext:
    return ManagementContext(cache_dir=str(cache), globals={}, **fields)  # type: ignore[arg-type]


def test_it_shows_a_table_and_says_where_the_files_are(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert Report().manage(context(cache), output_dir=str(tmp_path / "out"), formats=("csv", "md")) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].split()[:3] == ["build", "status", "candidate"]
    assert [line.split()[0] for line in shown[1:3]] == ["first", "second"]
    assert all(Path(line).is_file() for line in shown[3:])
    assert {Path(line).suffix for line in shown[3:]} == {".csv", ".md"}


def test_at_the_end_of_a_sequence_it_is_of_the_builds_of_that_call(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    closing = context(cache, build_names=("second",), as_json=True)
    assert Report().manage(closing, output_dir=str(tmp_path / "out")) == 0
    document = json.loads(capsys.readouterr().out)
    assert [build["build_name"] for build in document["builds"]] == ["second"]
    assert Path(document["files"]["csv"]).is_file()


def test_a_cache_that_cannot_be_read_is_named_and_the_exit_code_says_so(
    cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    missing = tmp_path / "missing"
    code = Report().manage(context(cache), input_caches=[str(cache), str(missing)], output_dir=str(tmp_path / "out"))
    printed = capsys.readouterr()
    assert code == 1
    assert "first" in printed.out
    assert str(missing) in printed.err
