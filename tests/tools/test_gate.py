"""The tool ``gate``: what it refuses before anything runs, and one whole run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from git_command import git

from turnkey.cli.main import main

SAMPLE = Path(__file__).parents[2] / "examples" / "cli" / "onnx" / "sample.onnx"


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One commit with an ONNX file; the working directory of the test."""
    place = tmp_path / "project"
    place.mkdir()
    (place / "net.onnx").write_bytes(SAMPLE.read_bytes())
    for arguments in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-q", "-m", "net")):
        git(place, *arguments)
    monkeypatch.chdir(place)
    return place


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-i", "net.onnx"], "needs a revision"),
        (["--base", "main"], "needs an input"),
        (["-i", "net.onnx", "--base", "nowhere"], "--base 'nowhere' is neither a revision"),
        (["-i", "gone.onnx", "--base", "main"], "no file gone.onnx"),
        (["-i", "net.onnx", "--base", "main", "--max-slowdown", "5"], "percentage"),
        (["-i", "net.onnx", "--base", "main", "--max-slowdown", "nan%"], "finite"),
        (["-i", "net.onnx", "--base", "main", "--max-slowdown", "0%"], "above 0"),
    ],
)
def test_what_cannot_be_a_gate_is_a_usage_error(
    repository: Path, words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gate", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_at_the_end_of_a_sequence_the_working_tree_is_judged_with_the_same_tools(
    repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate = ["gate", "--base", "HEAD", "--max-slowdown", "50%", "--effort", "standard"]
    code = main(["-d", str(tmp_path / "cache"), "-i", "net.onnx", "load-onnx", "optimize-ort", *gate])
    shown = capsys.readouterr()
    assert code in (0, 2)
    assert "building net.onnx of the working tree: load-onnx optimize-ort" in shown.err


@pytest.mark.nightly
@pytest.mark.timeout(1200)
def test_live_models_are_measured_each_with_the_modules_of_its_revision(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (repository / "src" / "layers").mkdir(parents=True)
    (repository / "net.py").write_text(
        "import torch\nfrom layers import DEPTH\ntorch.manual_seed(0)\n"
        "layers = [m for _ in range(DEPTH) for m in (torch.nn.Linear(64, 64), torch.nn.Tanh())]\n"
        "torch.nn.Sequential(*layers)(torch.ones(16, 64))\n"
    )
    for depth in (4, 40):
        (repository / "src" / "layers" / "__init__.py").write_text(f"DEPTH = {depth}\n")
        git(repository, "add", ".")
        git(repository, "commit", "-q", "-m", f"{depth} layers")
    words = ["-i", "net.py", "--base", "HEAD~1", "--head", "HEAD", "--runtime", "torch", "--effort", "standard"]
    code = main(["--json", "gate", *words, "--exact", "none"])
    [judged] = json.loads(capsys.readouterr().out)["tools"]["gate"]["inputs"]
    assert (code, judged["answer"]) == (1, "REGRESSION")
    assert judged["slowdown"]["low"] > 0.05


@pytest.mark.nightly
def test_a_revision_against_itself_passes_and_writes_its_summary(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["-i", "net.onnx", "--base", "main", "--max-slowdown", "50%", "--effort", "standard", "--summary", "s.md"]
    code = main(["--json", "gate", *words])
    answer = json.loads(capsys.readouterr().out)["tools"]["gate"]
    assert (code, answer["answer"]) in ((0, "PASS"), (2, "UNDECIDED"))
    assert "Turnkey gate" in (repository / "s.md").read_text(encoding="utf-8")
