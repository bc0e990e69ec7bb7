"""The history file and its trends."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from simulated_records import simulated_record

from turnkey.errors import ArtifactError
from turnkey.pipeline.archive import write_archive
from turnkey.report.history import History, HistoryRow, rows_of
from turnkey.report.measured import read_side
from turnkey.report.trend import trend_json, trend_page, trend_plot, trend_table, trends

from .conftest import MEASUREMENT, MakeBuild

ROW = HistoryRow(
    record_sha256="0",
    candidate="onnxruntime",
    utc="2026-01-01T00:00:00+00:00",
    model="net",
    label="",
    latency_ms=1.0,
    low_ms=0.99,
    high_ms=1.01,
    p99_ms=None,
    throughput_per_s=None,
    peak_memory_bytes=None,
    size_bytes=None,
    validity="VALID",
    processor="P",
    threads=1,
    runtime="onnxruntime",
    runtime_version="1",
    turnkey_version="0",
)


def series(*levels: tuple[int, float]) -> list[HistoryRow]:
    generator = np.random.Generator(np.random.PCG64(0))
    values = [level * float(np.exp(generator.normal(0, 0.01))) for count, level in levels for _ in range(count)]
    return [
        replace(ROW, record_sha256=str(number), utc=f"2026-01-{number + 1:02}", label=f"c{number}", latency_ms=value)
        for number, value in enumerate(values)
    ]


def test_a_record_that_is_added_twice_is_there_once(tmp_path: Path) -> None:
    simulated_record({"a": 1.0, "b": 2.0}, tmp_path / "net.zip")
    rows = rows_of(read_side(tmp_path / "net.zip"), label="v1")
    history = History(tmp_path / "history.sqlite")
    assert (history.add(rows), history.add(rows)) == (2, 0)
    first, second = History(tmp_path / "history.sqlite").rows()
    assert (first.model, first.candidate, first.label) == ("net", "a", "v1")
    assert first.latency_ms == pytest.approx(1.0, rel=0.05)
    assert second.low_ms is not None


def test_a_record_counts_once_also_where_a_package_carries_it_too(tmp_path: Path) -> None:
    simulated_record({"a": 1.0}, tmp_path / "net.zip", effort="quick")
    write_archive(
        tmp_path / "net.nav", {"records/batch-1.zip": tmp_path / "net.zip", "records/again.zip": tmp_path / "net.zip"}
    )
    history = History(tmp_path / "history.sqlite")
    added = [history.add(rows_of(read_side(tmp_path / name), label="")) for name in ("net.nav", "net.zip")]
    assert added == [1, 0]
    assert [row.model for row in history.rows()] == ["net/batch-1"]


def test_the_name_of_a_series_does_not_depend_on_what_else_is_added(make_build: MakeBuild, tmp_path: Path) -> None:
    for number, night in enumerate(("monday", "tuesday")):
        paths = make_build(
            "any", cache_dir=tmp_path / night, measurements=[{**MEASUREMENT, "key": "a", "record": "r.zip"}]
        )
        simulated_record({"a": 1.0}, paths.directory / "r.zip", effort="quick", seed=number)
    sides = [read_side(tmp_path / night) for night in ("monday", "tuesday")]
    assert {row.model for side in sides for row in rows_of(side, label="")} == {"any"}
    assert {row.model for row in rows_of(sides[0], label="", prefix="team/")} == {"team/any"}


def test_a_step_is_named_with_its_ratio_its_time_and_label(tmp_path: Path) -> None:
    [trend] = trends(series((10, 1.0), (10, 1.3)))
    [row] = trend_table([trend]).rows
    assert row[:3] == ("net", "onnxruntime", "20")
    assert row[5].startswith("slower by 1.29× [1.28, 1.30] from")
    assert row[5].endswith("from 2026-01-11 (c10)")
    assert trend_json([trend])[0]["steps"][0]["index"] == 10
    assert 'class="mark"' in trend_plot(trend)


def test_other_processors_and_threads_are_series_of_their_own() -> None:
    rows = [ROW, replace(ROW, processor="Q"), replace(ROW, threads=2), replace(ROW, model="other")]
    assert len(trends(rows)) == 4
    assert [trend.title for trend in trends(rows, models=["other"])] == ["other, onnxruntime"]


@pytest.mark.needs("jinja2")
def test_names_from_a_file_are_text_on_the_page() -> None:
    row = replace(ROW, model="<script>alert(1)</script>", label="<b>")
    markup = trend_page(trends([row, replace(row, record_sha256="1")]), title="t")
    assert "<script>alert" not in markup
    assert "&lt;script&gt;alert(1)" in markup
    assert markup.count("<svg") == 1


@pytest.mark.needs("jinja2")
def test_one_run_is_no_trend_to_draw() -> None:
    assert "<svg" not in trend_page(trends([ROW]), title="t")


def test_a_file_that_is_no_history_is_refused_and_left_alone(tmp_path: Path) -> None:
    text = tmp_path / "text.sqlite"
    text.write_text("not a database, but long enough to look at " * 20)
    other = tmp_path / "other.sqlite"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE precious (x)")
    newer = tmp_path / "newer.sqlite"
    with sqlite3.connect(newer) as connection:
        connection.execute("PRAGMA user_version = 9")
    for path in (text, other, newer):
        before = path.read_bytes()
        with pytest.raises(ArtifactError, match="history"):
            History(path)
        assert path.read_bytes() == before


def test_a_row_without_a_latency_is_refused(tmp_path: Path) -> None:
    history = History(tmp_path / "history.sqlite")
    history.add([ROW])
    with sqlite3.connect(history.path) as connection:
        connection.execute("UPDATE measurement SET latency_ms = 'fast'")
    with pytest.raises(ArtifactError, match="without a latency"):
        history.rows()


def test_latencies_of_other_statistics_are_series_of_their_own(tmp_path: Path) -> None:
    for objective in ("median", "mean"):
        simulated_record({"a": 1.0}, tmp_path / objective / "net.zip", objective=objective)
    history = History(tmp_path / "history.sqlite")
    for objective in ("median", "mean"):
        history.add(rows_of(read_side(tmp_path / objective / "net.zip"), label=""))
    shown = trends(history.rows())
    assert [trend["objective"] for trend in trend_json(shown)] == ["mean", "median"]
    assert [trend.place.endswith("mean") for trend in shown] == [True, False]


def test_a_history_of_schema_1_goes_on_with_its_rows(tmp_path: Path) -> None:
    path = tmp_path / "history.sqlite"
    columns = [field.name for field in fields(HistoryRow) if field.name != "objective"]
    with closing(sqlite3.connect(path)) as connection, connection:
        keys = "PRIMARY KEY (record_sha256, candidate)"
        connection.execute(f"CREATE TABLE measurement ({', '.join(columns)}, {keys})")
        values = [getattr(ROW, name) for name in columns]
        connection.execute(f"INSERT INTO measurement VALUES ({', '.join('?' * len(columns))})", values)
        connection.execute("PRAGMA user_version = 1")
    history = History(path)
    history.add([replace(ROW, record_sha256="1", objective="p99")])
    assert [row.objective for row in History(path).rows()] == ["median", "p99"]
