"""Reports of caches that the pipeline wrote."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from turnkey.errors import ArtifactError, InputError, UsageError
from turnkey.report import get_dict, write_report

from .conftest import MEASUREMENT, MakeBuild


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_one_row_per_build_sorted_by_name_with_the_documented_columns_first(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    make_build("zebra", hash="479b1332", **{"class": "Net", "tool_status:discover": "successful", "Zeta": 1})
    make_build("adder", parameters=55, labels={"author": ["a"], "task": ["x", "y"]}, system_info={"processor": "P"})
    path = write_report([cache], tmp_path).files["csv"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.csv", path.name)
    header = path.read_text().splitlines()[0].split(",")
    assert header[:5] == ["build_name", "build_status", "model_name", "class", "hash"]
    assert header[5:] == sorted(header[5:])
    assert all(column == column.lower() for column in header)
    adder, zebra = read(path)
    assert (adder["build_name"], zebra["build_name"]) == ("adder", "zebra")
    assert adder["class"] == adder["zeta"] == "-"
    assert adder["labels"] == "author::a task::x,y"
    assert adder["system_info.processor"] == "P"
    assert zebra["hash"] == "479b1332"
    assert zebra["tool_status:discover"] == "successful"


def test_what_was_being_worked_on_when_its_process_ended_is_killed(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    make_build("half", "incomplete", **{"tool_status:benchmark": "incomplete"})
    files = write_report([cache], tmp_path).files
    assert read(files["csv"])[0]["build_status"] == "killed"
    assert read(files["errors"])[0]["tool"] == "benchmark"


def test_the_measurements_have_one_row_per_candidate(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    torch = {**MEASUREMENT, "key": "torch", "variant": "torch", "runtime": "torch", "notes": ["a", "b"]}
    make_build("net", measurements=[torch, MEASUREMENT], chosen=MEASUREMENT["key"])
    files = write_report([cache], tmp_path).files
    assert files["measurements"].name == files["csv"].name.replace(".csv", "-measurements.csv")
    first, second = read(files["measurements"])
    assert (first["candidate"], first["is_chosen"], first["notes"]) == ("torch", "false", "a b")
    assert (second["candidate"], second["is_chosen"], second["p50_ms"]) == (MEASUREMENT["key"], "true", "1.2345")
    assert "errors" not in files


def test_errors_are_grouped_by_tool_and_message(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_build(name, "error", reason="no kernel for Foo", error_log=f"log of {name}", **{"tool_status:x": "error"})
    make_build("c", "timeout", error_log="=HYPERLINK()", **{"tool_status:discover": "timeout"})
    make_build("fine")
    first, second = read(write_report([cache], tmp_path).files["errors"])
    assert first == {
        "tool": "x",
        "message": "no kernel for Foo",
        "count": "2",
        "builds": "a b",
        "error_log": "log of a",
    }
    assert (second["tool"], second["message"]) == ("discover", "'=HYPERLINK()")


def test_messages_that_differ_in_names_and_numbers_are_one_error(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    for name, seconds in (("a", 12), ("b", 3600)):
        reason = f"not finished after {seconds} s, '{name}' was at work"
        make_build(name, "timeout", reason=reason, **{"tool_status:x": "timeout"})
    [row] = read(write_report([cache], tmp_path).files["errors"])
    assert (row["count"], row["builds"], row["message"]) == ("2", "a b", "not finished after 12 s, 'a' was at work")


def test_a_broken_statistics_file_is_named_and_the_others_are_reported(
    cache: Path, make_build: MakeBuild, tmp_path: Path
) -> None:
    make_build("good", parameters=1)
    broken = make_build("broken")
    broken.statistics.write_text("!!python/object/apply:os.system [ls]\n")
    report = write_report([cache, tmp_path / "nowhere"], tmp_path / "out")
    assert [row["build_name"] for row in read(report.files["csv"])] == ["broken", "good"]
    told = "\n".join(map(str, report.unreadable))
    assert str(broken.statistics) in told
    assert str(tmp_path / "nowhere") in told
    assert len(report.unreadable) == 2


def test_a_directory_that_is_no_cache_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / "photos" / "2019").mkdir(parents=True)
    with pytest.raises(InputError) as caught:
        write_report([tmp_path / "photos"], tmp_path / "out")
    assert ".turnkeycache" in caught.value.evidence
    assert "--input-caches" in caught.value.remedy
    assert not (tmp_path / "out").exists()


def test_only_the_builds_asked_for_are_reported(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    for name in ("a", "b"):
        make_build(name)
    assert [row["build_name"] for row in read(write_report([cache], tmp_path, only=("b",)).files["csv"])] == ["b"]


def test_builds_of_several_caches_stand_in_one_report(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    make_build("b")
    make_build("a", cache_dir=tmp_path / "other")
    names = [row["build_name"] for row in read(write_report([cache, tmp_path / "other"], tmp_path).files["csv"])]
    assert names == ["a", "b"]


def test_json_and_markdown_say_the_same(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    make_build("net", measurements=[MEASUREMENT], chosen=MEASUREMENT["key"], parameters=7)
    files = write_report([cache], tmp_path, formats=("json", "md")).files
    assert set(files) == {"json", "md"}
    document = json.loads(files["json"].read_text())
    assert document["schema_version"] == 1
    [build] = document["builds"]
    assert (build["build_name"], build["statistics"]["parameters"]) == ("net", 7)
    assert build["measurements"][0]["p50_ms"] == 1.2345
    markdown = files["md"].read_text()
    assert (
        "| net | successful | onnx-opt @ onnxruntime | 1.23 | 1.5 | – | 810 | 200 MiB | 44.0 MiB | valid |" in markdown
    )


def test_an_unknown_format_is_refused_before_anything_is_written(cache: Path, make_build: MakeBuild) -> None:
    make_build("net")
    with pytest.raises(UsageError, match="xlsx"):
        write_report([cache], cache.parent / "out", formats=("csv", "xlsx"))
    assert not (cache.parent / "out").exists()


def test_get_dict_gives_columns_by_model(cache: Path, make_build: MakeBuild, tmp_path: Path) -> None:
    make_build("a", mean_latency=1.5, formula="=1+1")
    make_build("b")
    path = write_report([cache], tmp_path).files["csv"]
    assert get_dict(path, ["mean_latency", "formula"]) == {
        "a": {"mean_latency": "1.5", "formula": "=1+1"},
        "b": {"mean_latency": "-", "formula": "-"},
    }
    with pytest.raises(UsageError, match="no column 'speed'"):
        get_dict(str(path), ["speed"])


def test_get_dict_refuses_what_is_no_report(tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    other.write_text("a,b\n1,2\n")
    with pytest.raises(ArtifactError, match="no report"):
        get_dict(other, [])
    with pytest.raises(Exception, match="cannot read"):
        get_dict(tmp_path / "missing.csv", [])
