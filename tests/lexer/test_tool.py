"""``turnkey lexer show|diff|verify FILE…``."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch
from lexer_models import Tiny

from turnkey import LexerContext, turnkeycli
from turnkey.lexer import load
from turnkey.lexer.result_table import csv_text, read_rows
from turnkey.measure.validity import reason
from turnkey.pipeline.archive import read_archive, write_archive


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    context = LexerContext(config={"enable_stdout": False, "num_iterations": 10, "exporter": "torchscript"})
    context.benchmark(Tiny(), torch.randn(2, 4))
    return context.flush("tool", tmp_path_factory.mktemp("tool"))


def test_show_prints_members_and_results(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert turnkeycli(["lexer", "show", str(artifact)]) == 0

    printed = capsys.readouterr().out
    assert all(words in printed for words in ("tool.lexer, written by Turnkey", "Tiny.onnx", "ONNXRuntime", "Torch"))


def test_show_as_json_is_one_document(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert turnkeycli(["--json", "lexer", "show", str(artifact), str(artifact)]) == 0

    first, second = json.loads(capsys.readouterr().out)["tools"]["lexer"]
    assert first == second
    assert [row["engine"] for row in first["rows"]] == ["onnxruntime", "torch"]


def test_diff_answers_engine_by_engine(artifact: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert turnkeycli(["lexer", "diff", str(artifact), str(artifact)]) == 0
    assert capsys.readouterr().out.count("1.00×") == 2

    assert turnkeycli(["--json", "lexer", "diff", str(artifact), str(artifact)]) == 0
    [pair] = json.loads(capsys.readouterr().out)["tools"]["lexer"]
    assert [each["engine"] for each in pair["differences"]] == ["onnxruntime", "torch"]


def test_show_and_diff_say_what_is_invalid_why_and_that_the_models_are_others(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with read_archive(artifact) as archive:
        members = {name: archive.read(name) for name in archive.names}
    rows = list(read_rows(members["Tiny.csv"].decode(), class_name="Tiny", is_original=False))
    why = str(reason("foreign-load", "other processes used 93% of our CPUs"))
    disturbed = [replace(row, valid=False, notes=why) for row in rows]
    [model] = load(artifact).models
    members["Tiny.csv"] = csv_text(disturbed).encode()
    members["tool.toml"] = members["tool.toml"].replace(model["weights_hash"].encode(), b"0" * 8)
    write_archive(tmp_path / "tool.lexer", members)

    assert turnkeycli(["lexer", "show", str(tmp_path / "tool.lexer")]) == 0
    shown = capsys.readouterr().out
    assert shown.count("INVALID") >= 3
    assert f"INVALID (ONNXRuntime, Torch): {why}" in shown

    assert turnkeycli(["lexer", "diff", str(artifact), str(tmp_path / "tool.lexer")]) == 0
    shown = capsys.readouterr().out
    assert f"INVALID (Tiny, torch, the second): {why}" in shown
    assert f"Tiny: the two models have different weights ({model['weights_hash'][:8]}, 00000000)" in shown
    assert "structure" not in shown


def test_verify_succeeds_on_what_was_packed_and_fails_on_what_was_changed(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert turnkeycli(["lexer", "verify", str(artifact)]) == 0
    printed = capsys.readouterr().out
    assert "digests right" in printed
    assert "Tiny.onnx: pass" in printed

    with read_archive(artifact) as archive:
        members = {name: archive.read(name) for name in archive.names}
    model = onnx.load_from_string(members["Tiny.onnx"])
    model.graph.node[-1].op_type = "Sigmoid"
    write_archive(tmp_path / "changed.lexer", {**members, "Tiny.onnx": model.SerializeToString()})
    assert turnkeycli(["lexer", "verify", str(tmp_path / "changed.lexer")]) == 1
    printed = capsys.readouterr().out
    assert "digests wrong: Tiny.onnx" in printed
    assert "Tiny.onnx: fail" in printed


def test_an_artifact_that_lost_its_digests_is_not_said_to_have_the_right_ones(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with read_archive(artifact) as archive:
        members = {name: archive.read(name) for name in archive.names}
    members["tool.toml"] = members["tool.toml"].replace(b"[[files]]", b"[[other]]")
    write_archive(tmp_path / "stripped.lexer", members)

    assert turnkeycli(["lexer", "verify", str(tmp_path / "stripped.lexer")]) == 0
    assert "digests none recorded" in capsys.readouterr().out


@pytest.mark.parametrize(
    "words", [["show"], ["diff", "a.lexer"], ["sing", "a.lexer"], ["show", "missing.lexer"], ["verify", "text.lexer"]]
)
def test_a_users_mistake_is_told_without_a_traceback(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    Path("text.lexer").write_text("no archive")

    assert turnkeycli(["lexer", *words]) != 0
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err + captured.out
    assert "do:" in captured.err or "evidence:" in captured.err
