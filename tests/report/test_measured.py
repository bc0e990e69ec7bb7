"""Sources of a comparison: each kind of thing is recognised by what it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from simulated_records import simulated_record

from turnkey.errors import ArtifactError, InputError
from turnkey.pipeline.archive import write_archive
from turnkey.report.measured import read_side

from .conftest import MEASUREMENT, MakeBuild

LEXER_TABLE = (
    "num_samples,variance,mean_ms,p50_ms,p90_ms,p95_ms,p99_ms,throughput_per_sec,engine,version,batch_size\r\n"
    "10,0.1,2.5,2.4,2.6,2.7,2.8,400,torch,2.13,1\r\n"
    "10,0.1,1.5,1.4,1.6,1.7,1.8,666,onnxruntime,1.31,1\r\n"
)


def build_with_record(make_build: MakeBuild, name: str = "net") -> Path:
    paths = make_build(name, measurements=[{**MEASUREMENT, "key": "a", "record": "runs/1.zip"}])
    simulated_record({"a": 1.0}, paths.directory / "runs/1.zip")
    return paths.directory


def test_a_cache_a_build_and_a_record_hold_the_same_candidate(cache: Path, make_build: MakeBuild) -> None:
    build = build_with_record(make_build)
    for path in (cache, build, build / "runs" / "1.zip"):
        [item] = read_side(path).items
        assert (item.model, item.candidate) == ("net", "a")
        assert item.record is not None


def test_a_package_carries_its_records(tmp_path: Path) -> None:
    simulated_record({"a": 1.0}, tmp_path / "one.zip")
    package = tmp_path / "net.nav"
    members = {f"records/profile/batch-{batch}.zip": tmp_path / "one.zip" for batch in (1, 2)}
    write_archive(package, {"status.yaml": b"x: 1\n", "weights.zip": b"none of ours", **members})
    side = read_side(package)
    assert [(item.model, item.candidate) for item in side.items] == [("batch-1", "a"), ("batch-2", "a")]
    assert all(item.record is not None for item in side.items)
    assert len(side.unreadable) == 1


def test_a_lexer_artifact_gives_the_figures_of_its_tables(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.lexer"
    write_archive(path, {"Net.csv": LEXER_TABLE.encode(), "benchmark.toml": b"title = 'x'\n"})
    torch, onnx = read_side(path).items
    assert (torch.model, torch.candidate, torch.entry["latency_ms"]) == ("Net", "torch, batch 1", 2.5)
    assert (onnx.candidate, onnx.entry["p99_ms"], onnx.record) == ("onnxruntime, batch 1", 1.8, None)


def test_a_sweep_in_a_lexer_artifact_is_compared_point_by_point(tmp_path: Path) -> None:
    head, row, _ = LEXER_TABLE.splitlines()
    points = [("1", "x[1 4]"), ("2", "x[1 4]"), ("2", "x[1 8]")]
    table = "\r\n".join([f"{head},threads,inputs", *(f"{row},{threads},{inputs}" for threads, inputs in points)])
    write_archive(tmp_path / "sweep.lexer", {"Net.csv": table.encode()})
    assert [item.candidate for item in read_side(tmp_path / "sweep.lexer").items] == [
        "torch, batch 1, 1 thread, x[1 4]",
        "torch, batch 1, 2 threads, x[1 4]",
        "torch, batch 1, 2 threads, x[1 8]",
    ]


def test_a_table_without_numbers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "benchmark.lexer"
    write_archive(path, {"Net.csv": LEXER_TABLE.replace("2.5", "=1+1").encode()})
    with pytest.raises(ArtifactError, match="no number in mean_ms"):
        read_side(path)


def test_what_holds_no_measurements_is_refused_with_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    for name, said in (("gone", "no such file"), ("empty", "without the marker"), ("text.zip", "neither a record")):
        with pytest.raises(InputError) as caught:
            read_side(tmp_path / name)
        assert said in caught.value.evidence
