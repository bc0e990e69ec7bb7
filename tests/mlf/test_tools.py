"""export-mlf, load-mlf and show-mlf as a user calls them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import models
import onnx
import pytest

import turnkey.mlf as mlf
from turnkey.cli.main import main

pytestmark = pytest.mark.needs("emx_onnx_cgen")


def turnkey(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("turnkey")), *words]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=280)


def test_a_network_goes_to_a_tarball_and_back(tmp_path: Path) -> None:
    onnx.save(models.model_of(models.CNN), tmp_path / "net.onnx")
    made = turnkey(
        "-d", "cache", "-i", "net.onnx", "load-onnx", "export-mlf", "--name", "kws", "--output", "kws.tar",
        "--picture", "plan.svg", "verify", cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    log = (tmp_path / "cache/net/log_export-mlf.txt").read_text()
    stages = re.findall(r"^  (\w+) +\S.*  +\d+\.\d s$", log, re.M)
    assert stages == ["load", "prepare", "lower", "plan", "compile", "verify", "wrote"], log
    assert "onnx-mlf: valid" in made.stdout + made.stderr
    assert (tmp_path / "plan.svg").read_text().startswith("<svg")
    shown = turnkey("show-mlf", "kws.tar", cwd=tmp_path)
    assert "gap 0 %, proven" in shown.stdout, shown.stderr
    assert "<- peak" in shown.stdout
    loaded = turnkey("-d", "cache2", "-i", "kws.tar", "load-mlf", "--verify", "verify", cwd=tmp_path)
    assert loaded.returncode == 0, loaded.stdout + loaded.stderr
    assert "onnx-mlf: valid" in loaded.stdout + loaded.stderr
    assert re.search(r"kws: verified on \d+ samples against onnxruntime: largest", loaded.stderr), loaded.stderr


def test_numbers_that_load_onnx_was_given_hold_for_the_export_too(tmp_path: Path) -> None:
    text = models.MULTIPLY.replace("float[2,3] x", "float[batch,3] x").replace("float[2,4] y", "float[batch,4] y")
    onnx.save(models.model_of(text), tmp_path / "net.onnx")
    made = turnkey(
        "-d", "cache", "-i", "net.onnx", "load-onnx", "--dim", "batch=2", "export-mlf", "--no-compile", "--no-verify",
        "--output", "net.tar", cwd=tmp_path,
    )  # fmt: skip
    assert made.returncode == 0, made.stdout + made.stderr
    assert mlf.load(tmp_path / "net.tar").module().inputs[0].shape == (2, 3)


def test_what_convert_makes_of_a_file_that_came_quantised_is_judged_by_eight_bits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx.save(models.model_of(models.QUANTISED), "q.onnx")
    code = main(["-d", "cache", "-i", "q.onnx", "load-onnx", "convert", "--to", "mlf", "verify"])
    said = "".join(capfd.readouterr())
    assert code == 0, said
    assert "mlf-int8: valid" in said


def test_a_hostile_tarball_is_one_failed_input(tmp_path: Path) -> None:
    (tmp_path / "bad.tar").write_bytes(b"nothing")
    result = turnkey("-d", "cache", "-i", "bad.tar", "load-mlf", cwd=tmp_path)
    assert result.returncode == 1
    assert "mlf-bad-archive" in result.stdout + result.stderr


def test_show_mlf_prints_the_same_facts_as_json(cnn_tar: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from turnkey.pipeline.tool import ManagementContext
    from turnkey.tools.show_mlf import ShowMlf

    assert ShowMlf().manage(ManagementContext(cache_dir="", as_json=True, globals={}), file=str(cnn_tar)) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["modules"]["cnn"]["inputs"] == [["image", "float32", [1, 2, 8, 8]]]
