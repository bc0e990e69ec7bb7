"""Comparisons: matching, verdicts, what is not comparable, and their views."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from simulated_records import simulated_record

from turnkey.errors import UsageError
from turnkey.report.comparison import compare
from turnkey.report.comparison_files import write_comparison
from turnkey.report.comparison_view import comparison_json, comparison_table, sentence
from turnkey.report.measured import Side, read_side

from .conftest import MEASUREMENT, MakeBuild


def cache_with(make_build: MakeBuild, directory: Path, times: dict[str, float], *, seed: int, **fields: Any) -> Path:
    entries = [
        {**MEASUREMENT, "key": key, "record": "runs/1.zip", "latency_ms": ms, **fields} for key, ms in times.items()
    ]
    paths = make_build("net", cache_dir=directory, measurements=entries)
    simulated_record(times, paths.directory / "runs/1.zip", seed=seed)
    return directory


@pytest.fixture
def sides(make_build: MakeBuild, tmp_path: Path) -> tuple[Side, Side]:
    before = cache_with(make_build, tmp_path / "before", {"a": 2.0, "b": 1.0}, seed=1)
    after = cache_with(make_build, tmp_path / "after", {"a": 1.0, "c": 1.0}, seed=2, size_bytes=1 << 20)
    return read_side(before), read_side(after)


def test_candidates_are_matched_and_those_of_one_side_are_said(sides: tuple[Side, Side]) -> None:
    [comparison] = compare(sides)
    answers = {pair.candidate: pair.answer for pair in comparison.pairs}
    assert answers["a"].startswith("FASTER 2.0")
    assert answers["b"] == "only in the first"
    assert answers["c"] == "only in the second"
    assert sentence(comparison) == "after against before: 1 FASTER, 2 without a verdict"


def test_figures_that_need_no_statistics_are_compared_as_they_are(sides: tuple[Side, Side]) -> None:
    [comparison] = compare(sides)
    table = comparison_table(comparison)
    [row] = [row for row in table.rows if row[1] == "a"]
    assert row[-1] == "size 44.0 MiB → 1.0 MiB"


def test_two_records_with_one_candidate_each_are_compared_whatever_its_name(tmp_path: Path) -> None:
    simulated_record({"old": 2.0}, tmp_path / "1.zip", seed=1)
    simulated_record({"new": 1.0}, tmp_path / "2.zip", seed=2)
    [comparison] = compare([read_side(tmp_path / "1.zip"), read_side(tmp_path / "2.zip")])
    [pair] = comparison.pairs
    assert pair.answer.startswith("FASTER")


def test_other_threads_are_named_instead_of_a_verdict(tmp_path: Path) -> None:
    simulated_record({"a": 2.0}, tmp_path / "1.zip", threads=1)
    simulated_record({"a": 1.0}, tmp_path / "2.zip", threads=2)
    read = [read_side(tmp_path / name) for name in ("1.zip", "2.zip")]
    [pair] = compare(read)[0].pairs
    assert pair.answer == "not comparable: a: threads 1 and 2"
    [pair] = compare(read, allowed=frozenset({"threads"}))[0].pairs
    assert pair.answer.startswith("FASTER")


def test_a_mean_beside_a_median_gets_no_verdict_and_says_what_it_is(tmp_path: Path) -> None:
    simulated_record({"a": 2.0}, tmp_path / "1.zip")
    simulated_record({"a": 1.0}, tmp_path / "2.zip", objective="mean")
    found = compare([read_side(tmp_path / name) for name in ("1.zip", "2.zip")])[0]
    [pair] = found.pairs
    assert pair.answer == "not comparable: objective median and mean"
    [(_, _, first, second, *_)] = comparison_table(found).rows
    assert (first.endswith("]"), second.endswith("] mean")) == (True, True)


def test_one_side_is_no_comparison(sides: tuple[Side, Side]) -> None:
    with pytest.raises(UsageError, match="two things"):
        compare(sides[:1])


def test_every_further_side_is_compared_with_the_first(sides: tuple[Side, Side]) -> None:
    found = compare([*sides, sides[0]])
    assert [comparison.other.label for comparison in found] == ["after", "before"]
    assert all(comparison.base.label == "before" for comparison in found)


@pytest.mark.needs("jinja2")
def test_markdown_html_and_json_say_the_same(sides: tuple[Side, Side], tmp_path: Path) -> None:
    found = compare(sides)
    files = write_comparison(found, tmp_path / "out", formats=("md", "html", "json"))
    verdict = found[0].pairs[0].answer
    assert verdict in files["html"].read_text(encoding="utf-8")
    assert "FASTER 2.0" in files["md"].read_text(encoding="utf-8")
    document = json.loads(files["json"].read_text(encoding="utf-8"))
    assert document["comparisons"] == json.loads(json.dumps([comparison_json(item) for item in found]))
    assert document["comparisons"][0]["pairs"][0]["verdict"]["kind"] == "FASTER"
