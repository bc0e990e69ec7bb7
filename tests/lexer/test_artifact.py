"""Artifacts: what is packed, what is read back, what is refused, and who may write at once."""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
import subprocess
import sys
import warnings
import zipfile
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from git_command import git
from lexer_artifacts import ORIGINAL_CSV, ORIGINAL_TOML, artifact_of, metadata
from lexer_models import ONLY_TORCH, SHORT, Child, Tiny
from torch import nn

from turnkey import LexerContext
from turnkey.errors import ArtifactError, InputError, UsageError
from turnkey.lexer import LexerArtifact, compare, load
from turnkey.lexer.comparison import compare_rows
from turnkey.pipeline.archive import read_archive, write_archive


@pytest.fixture(scope="module")
def context() -> LexerContext:
    """Two classes, three runs."""
    torch.manual_seed(0)
    context = LexerContext(config={**SHORT, "tags": {"team": "vision"}})
    model = Tiny()
    context.benchmark(model, torch.randn(2, 4))
    context.benchmark(model, torch.randn(2, 4), num_iterations=30)
    context.benchmark(Child(), torch.randn(2, 4), **ONLY_TORCH)
    return context


@pytest.fixture(scope="module")
def flushed(context: LexerContext, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return context.flush("one", tmp_path_factory.mktemp("artifact"), tags={"stage": "test"})


def test_members_stand_in_the_documented_order(flushed: Path) -> None:
    with zipfile.ZipFile(flushed) as archive:
        names = archive.namelist()

    assert names == ["Tiny.onnx", "Tiny.csv", "Child.csv", "Tiny.samples.json", "Tiny.samples.npz", "one.toml"]


def test_runs_of_one_class_share_its_table_and_everything_is_read_back(flushed: Path, context: LexerContext) -> None:
    artifact = load(flushed)

    assert [(row.class_name, row.engine, row.num_samples, row.run) for row in artifact] == [
        ("Tiny", "onnxruntime", 3, 1),
        ("Tiny", "torch", 3, 1),
        ("Tiny", "onnxruntime", 30, 2),
        ("Tiny", "torch", 30, 2),
        ("Child", "torch", 3, 3),
    ]
    original = [row for run in context.runs for row in run.rows]
    for read, written in zip(artifact, original, strict=True):
        assert read.to_dict() == written.to_dict()
        assert read.units == pytest.approx(written.units)
    assert artifact.tags == {"team": "vision", "stage": "test"}
    assert artifact.environment["torch_version"] == version("torch")
    assert [model["class_name"] for model in artifact.models] == ["Tiny", "Child"]
    assert len(artifact.models[0]["weights_hash"]) == 8
    assert artifact.models[0]["signature"]["inputs"] == [{"name": "x", "dtype": "float32", "shape": [2, 4]}]
    assert artifact.damaged() == ()
    assert not artifact.is_original
    assert "Tiny:" in str(artifact)


def test_every_file_is_listed_with_its_digest_and_a_changed_one_is_noticed(flushed: Path, tmp_path: Path) -> None:
    with read_archive(flushed) as archive:
        members = {name: archive.read(name) for name in archive.names}
    assert [entry["name"] for entry in metadata(flushed)["files"]] == [name for name in members if name != "one.toml"]

    members["Child.csv"] = members["Child.csv"].replace(b"torch", b"Torch")
    write_archive(tmp_path / "changed.lexer", {**members, "extra.txt": b""})
    assert load(tmp_path / "changed.lexer").damaged() == ("Child.csv", "extra.txt")


def test_the_same_runs_make_the_same_bytes(
    context: LexerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LB11: members have fixed times and order; only the moment of the flush differs, which may be fixed too."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    first = context.flush("same", tmp_path / "a").read_bytes()

    assert context.flush("same", tmp_path / "b").read_bytes() == first


def test_a_flush_says_where_it_wrote_and_a_relative_directory_is_that_of_the_call(
    context: LexerContext, nobody_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """LB8.7, LD23: the default was frozen at import; a missing directory failed."""
    assert context.flush("here") == nobody_home / "here.lexer"
    (tmp_path / "there").mkdir()
    monkeypatch.chdir(tmp_path / "there")
    assert context.flush("now", target_directory="new/deep") == tmp_path / "there" / "new" / "deep" / "now.lexer"
    with pytest.raises(UsageError, match="cannot be the name"):
        context.flush("a/b")


def test_the_lineage_names_the_commit_of_the_working_directory(context: LexerContext, nobody_home: Path) -> None:
    assert "git_commit" not in metadata(context.flush("before"))["lineage"]

    git(nobody_home, "init", "-q")
    git(nobody_home, "commit", "-q", "--allow-empty", "-m", "x")
    head = git(nobody_home, "rev-parse", "HEAD")
    lineage = metadata(context.flush("after"))["lineage"]

    assert (lineage["git_commit"], lineage["git_has_changes"]) == (head, False)


def test_the_times_are_those_of_the_context_and_of_the_flush(context: LexerContext) -> None:
    """LD12: the original froze one at import and never changed the other."""
    first, second = metadata(context.flush("a")), metadata(context.flush("b"))

    assert first["created_at"] == second["created_at"] < first["updated_at"] < second["updated_at"]


def test_another_model_of_a_class_gets_a_file_of_its_own() -> None:
    """LB10."""
    context = LexerContext(config=SHORT)
    context.export(Tiny(), torch.ones(1, 4))
    context.export(Tiny(), torch.ones(1, 4))

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        names = [member.name for member in load(context.flush("two")).members]
    assert [name for name in names if name.endswith(".onnx")] == ["Tiny.onnx", "Tiny-2.onnx"]


def test_what_is_missing_is_said_and_an_empty_context_still_makes_an_artifact() -> None:
    """LB8.8, LD16: both engines off made a broken, empty zip."""
    context = LexerContext(config=SHORT)
    with pytest.warns(UserWarning, match="nothing was exported or benchmarked"):
        path = context.flush("empty")
    assert [member.name for member in load(path).members] == ["empty.toml"]
    assert "benchmark" not in metadata(path)

    context.benchmark(Tiny(), torch.ones(1, 4), enable_csv=False, **ONLY_TORCH)
    with pytest.warns(UserWarning, match="no ONNX file") as caught:
        path = context.flush("empty")
    assert any("enable_csv was off" in str(each.message) for each in caught)
    assert metadata(path)["benchmark"]["config"]["output_config_internal"]["onnx_output_filename"] == ""
    context.clear()
    with pytest.warns(UserWarning, match="nothing was"):
        context.flush("empty")


def test_samples_can_be_left_out() -> None:
    context = LexerContext(config={**SHORT, "store_samples": False})
    context.benchmark(Tiny(), torch.ones(1, 4))

    path = context.flush("three")
    assert [member.name for member in load(path).members] == ["Tiny.onnx", "Tiny.csv", "three.toml"]
    assert [each.verdict for each in load(path).verify()] == ["no samples"]


def test_a_class_with_odd_characters_is_packed_under_a_harmless_name() -> None:
    odd = type("Net<'é'>/../../x\n\x1b[2J=1+1", (nn.Linear,), {})
    context = LexerContext(config=SHORT)
    context.benchmark(odd(4, 3), torch.ones(1, 4))

    artifact = load(context.flush("odd"))
    assert artifact.members[0].name == "Net_é_.._.._x_2J_1+1.onnx"
    assert {row.class_name for row in artifact} == {odd.__name__}
    assert "\x1b" not in str(artifact)
    assert [each.verdict for each in artifact.verify()] == ["pass"]


def test_external_weights_are_packed_and_found_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """LD6: they were left out, and the file was of no use."""
    monkeypatch.setattr("turnkey.formats.onnx_file.EXTERNAL_FROM_BYTES", 100)
    context = LexerContext(config=SHORT)
    context.export(nn.Linear(64, 64), torch.ones(1, 64))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = context.flush("large")
    context.close()

    artifact = load(path)
    assert [member.name for member in artifact.members][:2] == ["Linear.onnx", "Linear.onnx.data"]
    assert [each.verdict for each in artifact.verify()] == ["pass"]
    with zipfile.ZipFile(path) as archive:
        archive.extractall(tmp_path / "out")
    onnx.checker.check_model(str(tmp_path / "out" / "Linear.onnx"), full_check=True)


def test_a_file_that_computes_something_else_by_now_fails_verification(flushed: Path, tmp_path: Path) -> None:
    with read_archive(flushed) as archive:
        members = {name: archive.read(name) for name in archive.names}
    model = onnx.load_from_string(members["Tiny.onnx"])
    weight = model.graph.initializer[0]
    weight.raw_data = (np.frombuffer(weight.raw_data, np.float32) + 1).tobytes()
    write_archive(tmp_path / "wrong.lexer", {**members, "Tiny.onnx": model.SerializeToString()})
    write_archive(tmp_path / "broken.lexer", {**members, "Tiny.onnx": b"no model"})

    [wrong] = load(tmp_path / "wrong.lexer").verify()
    assert (wrong.verdict, wrong.is_wrong) == ("fail", True)
    [broken] = load(tmp_path / "broken.lexer").verify()
    assert (broken.verdict, broken.is_wrong) == ("refused", True)
    assert "not an ONNX model" in broken.reason


def test_a_failed_flush_leaves_the_older_artifact(
    context: LexerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = context.flush("kept", tmp_path / "t")
    older = path.read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", fail)
        with pytest.raises(InputError, match="no space left"):
            context.flush("kept", tmp_path / "t")

    assert path.read_bytes() == older
    assert os.listdir(path.parent) == ["kept.lexer"]


@pytest.mark.slow
def test_two_processes_may_flush_to_one_name_at_once(tmp_path: Path) -> None:
    """LD16: fixed temporary names in one system folder."""
    program = (
        "import sys, warnings; warnings.simplefilter('ignore')\n"
        "from turnkey import LexerContext\n"
        "context = LexerContext(config={'enable_stdout': False})\n"
        "for _ in range(20): context.flush('shared', sys.argv[1], tags={'who': sys.argv[2]})\n"
    )
    started = [subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "t"), who]) for who in "ab"]

    assert [process.wait(200) for process in started] == [0, 0]
    assert load(tmp_path / "t" / "shared.lexer").tags["who"] in ("a", "b")
    assert os.listdir(tmp_path / "t") == ["shared.lexer"]


def test_an_artifact_of_the_original_is_read_in_todays_units(tmp_path: Path) -> None:
    """LD24, LB8.1: 0.0.2 wrote s²."""
    artifact = load(artifact_of(tmp_path / "old.lexer", {"Net.csv": ORIGINAL_CSV, "old.toml": ORIGINAL_TOML}))

    assert artifact.is_original
    assert (artifact[0].variance, artifact[0].std_ms, artifact[0].p99_ms) == (125, 125**0.5, 39.7)
    assert artifact[0].class_name == "Net"
    assert "s², are shown as ms²" in str(artifact)
    assert (artifact.damaged(), artifact.verify(), artifact.runs) == ((), [], [])
    assert json.dumps(artifact.to_dict())


@pytest.mark.parametrize(
    "members",
    [
        {"a.csv": ORIGINAL_CSV},
        {"a.toml": ORIGINAL_TOML, "b.toml": ORIGINAL_TOML},
        {"a.toml": "title = "},
        {"a.toml": ORIGINAL_TOML, "a.csv": "x,y\n1,2\n"},
        {"a.toml": ORIGINAL_TOML, "a.csv": ORIGINAL_CSV.replace("25.0", "nan")},
        {"a.toml": ORIGINAL_TOML, "a.csv": ORIGINAL_CSV.replace("0.000125", "=cmd()")},
        {"a.toml": ORIGINAL_TOML, "../x.csv": ORIGINAL_CSV},
        {"a.toml": "[" * 5000},
    ],
)
def test_what_is_no_artifact_or_a_hostile_one_is_refused(members: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(ArtifactError):
        load(artifact_of(tmp_path / "h.lexer", members))


def test_metadata_that_is_valid_toml_but_of_other_kinds_harms_nothing(tmp_path: Path) -> None:
    text = "generator = 1\ntitle = 7\nruns = 3\nfiles = ['a']\nlineage = 'x'\nenvironment = []\nschema_version = 99\n"
    artifact = load(artifact_of(tmp_path / "h.lexer", {"a.toml": text, "\u202ea.csv": ORIGINAL_CSV}))

    assert (artifact.runs, artifact.models, artifact.tags, artifact.damaged()) == ([], [], {}, ())
    assert "version 99" in str(artifact)
    assert "\u202e" not in str(artifact)


def test_numbers_that_are_missing_or_of_other_kinds_harm_nothing(tmp_path: Path) -> None:
    runs = f"[[runs]]\nnumber = [1]\n[[runs.rows]]\nengine = 'torch'\nlog_ns = [1.0, 1{'0' * 400}]\n"
    first = artifact_of(tmp_path / "a.lexer", {"a.toml": runs, "Net.csv": ORIGINAL_CSV.replace("0.000125", "")})
    text = f"generator = 'turnkey'\n{runs}{runs.replace('[1]', '1')}"
    second = artifact_of(tmp_path / "b.lexer", {"b.toml": text, "Net.csv": ORIGINAL_CSV.replace("25.0", "0.0")})

    assert [math.isnan(value) for value in (load(first)[0].variance, load(first)[0].std_ms)] == [True, True]
    assert load(second)[0].units == ()
    [difference] = compare(load(first), load(second))
    assert difference.words == "no mean to compare by"


def test_artifacts_are_compared_engine_by_engine(tmp_path: Path, flushed: Path) -> None:
    same = compare(load(flushed), load(flushed))
    assert {(each.class_name, each.engine) for each in same} == {
        ("Tiny", "onnxruntime"),
        ("Tiny", "torch"),
        ("Child", "torch"),
    }
    assert {str(each.verdict.kind) for each in same if each.verdict} == {"UNDECIDED"}

    before = load(flushed)
    other = {"torch": math.log(1.5), "onnxruntime": -math.log(1.5)}
    after = [replace(row, units=tuple(unit + other[row.engine] for unit in row.units)) for row in before]
    found = {(each.class_name, each.engine): each for each in compare_rows(before, after)}
    verdicts = {key: str(each.verdict.kind) for key, each in found.items() if each.verdict}
    assert verdicts["Tiny", "torch"] in ("SLOWER", "UNDECIDED")  # what a disturbed host measured may be too wide
    assert found["Tiny", "torch"].to_dict()["ratio"] == pytest.approx(1 / 1.5)
    steady = [replace(row, units=tuple(10 + 0.001 * i for i in range(8))) for row in before]
    moved = [replace(row, units=tuple(unit + other[row.engine] for unit in row.units)) for row in steady]
    verdicts = {each.engine: str(each.verdict.kind) for each in compare_rows(steady, moved) if each.verdict}
    assert verdicts == {"torch": "SLOWER", "onnxruntime": "FASTER"}
    nearly = [replace(row, units=tuple(unit + 0.05 for unit in row.units)) for row in steady]
    assert {str(each.verdict.kind) for each in compare_rows(steady, nearly) if each.verdict} == {"UNDECIDED"}


def test_points_of_a_sweep_are_compared_each_with_its_own(flushed: Path) -> None:
    row = replace(load(flushed)[0], units=tuple(10 + 0.001 * i for i in range(8)), inputs="x[1,4]")
    small, large = row, replace(row, batch_size=8, inputs="x[8,4]", units=tuple(unit + 1 for unit in row.units))

    found = compare_rows([small, large], [large, replace(small, threads=64)])
    assert [(each.before or each.after).batch_size for each in found if each.before or each.after] == [2, 8, 2]
    assert [each.words for each in (found[0], found[2])] == ["only in the first", "only in the second"]
    assert found[1].verdict is not None
    assert str(found[1].verdict.kind) == "UNDECIDED"
    [apart] = compare_rows([small], [replace(small, inputs="x[1,5]")])
    assert apart.words == "not comparable: inputs x[1,4] and x[1,5]"
    [unknown] = compare_rows([small], [replace(small, inputs="")])
    assert unknown.verdict is not None


def test_other_conditions_are_the_answer_instead_of_a_verdict(flushed: Path) -> None:
    before = load(flushed)
    after = LexerArtifact(
        before.path,
        metadata={**before.metadata, "environment": {"processor": "another"}},
        rows=[replace(row, threads=64) for row in before.rows[:1]],
        members=(),
        notes=(),
    )

    first, *others = after.compare(before)
    assert "another processor" in first.words
    assert "threads" in first.words
    assert {each.words for each in others} <= {"only in the first"}


@pytest.mark.nightly
@pytest.mark.timeout(3600)
def test_a_model_with_1200_megabytes_of_weights(tmp_path: Path) -> None:
    """Needs 5 GB of memory and 6 GB of disk. Its steps were run by hand once; docs/lexer.md has the figures."""
    if shutil.disk_usage(tmp_path).free < 6 << 30:
        pytest.skip("not enough disk")
    model = nn.Sequential(nn.Linear(8, 17_500), nn.Linear(17_500, 17_200, bias=False), nn.Linear(17_200, 4))
    with LexerContext(config={"enable_stdout": False}) as context:
        report = context.benchmark(model, torch.randn(1, 8), num_iterations=5)
        path = context.flush("large", tmp_path)

    assert {row.validation for row in report} == {"pass"}
    assert path.stat().st_size > 1_200_000_000
    artifact = load(path)
    assert artifact.damaged() == ()
    assert [each.verdict for each in artifact.verify()] == ["pass"]
