"""``turnkey -i script.py discover lexer-benchmark``."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey import turnkeycli
from turnkey.errors import UsageError
from turnkey.lexer import load
from turnkey.lexer.benchmark_tool import settings_from

SCRIPT = """
import torch
from torch import nn
from turnkey import Lexer

@Lexer(input_names=["left", "right"], output_names=["sum"], exporter="torchscript")
class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
    def forward(self, a, *, b):
        return torch.tanh(self.linear(a)) + b

torch.manual_seed(0)
Adder()(torch.randn(3, 4), b=torch.randn(3, 4))
"""


def test_a_script_is_benchmarked_and_packed_with_its_decorators_names(
    nobody_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nobody_home / "script.py").write_text(SCRIPT)
    words = ["-i", "script.py", "-d", str(tmp_path / "cache"), "discover", "lexer-benchmark", "--name", "packed"]
    words += ["--set", "num_iterations=6", "batch_size=3", "--tags", "team=vision", "-o", "out"]

    assert turnkeycli(words) == 0

    captured = capsys.readouterr()
    assert f"wrote {nobody_home / 'out' / 'packed.lexer'}" in captured.out + captured.err
    assert "script: lexer-benchmark: exporting Adder to ONNX" in captured.err.splitlines()
    artifact = load(nobody_home / "out" / "packed.lexer")
    assert [(row.class_name, row.engine, row.num_samples, row.batch_size) for row in artifact] == [
        ("Adder", "onnxruntime", 6, 3),
        ("Adder", "torch", 6, 3),
    ]
    assert artifact.tags == {"team": "vision"}
    assert artifact.metadata["benchmark"]["config"]["decorator_config"] == {
        "input_names": ["left", "right"],
        "output_names": ["sum"],
    }


def test_batch_sizes_and_threads_are_swept(
    nobody_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nobody_home / "script.py").write_text(SCRIPT)
    words = ["-i", "script.py", "-d", str(tmp_path / "cache"), "discover", "lexer-benchmark", "--name", "swept"]
    words += ["--set", "num_iterations=3", "enable_onnxruntime=false", "enable_onnx_checks=false"]
    words += ["--batch-sizes", "1,3", "--threads", "1", "2"]

    assert turnkeycli(words) == 0

    rows = load(nobody_home / "swept.lexer").rows
    assert [(row.batch_size, row.threads) for row in rows] == [(1, 1), (1, 2), (3, 1), (3, 2)]
    assert {row.inputs for row in rows} == {"left[1,4] right[1,4]", "left[3,4] right[3,4]"}
    assert turnkeycli([*words[:-2], "many"]) != 0
    assert "--threads takes whole numbers" in capsys.readouterr().err


def test_a_wrong_setting_fails_the_tool_with_the_nearest_key(
    nobody_home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (nobody_home / "script.py").write_text(SCRIPT)
    words = [
        "-i",
        "script.py",
        "-d",
        str(tmp_path / "cache"),
        "discover",
        "lexer-benchmark",
        "--set",
        "num_iteration=6",
    ]

    assert turnkeycli(words) != 0
    captured = capsys.readouterr()
    assert "did you mean num_iterations" in captured.out + captured.err


def test_words_become_values_of_their_keys() -> None:
    words = ["num_iterations=5", "rtol=0.1", "enable_csv=false", "engines=openvino", "input_names=a,b", "effort=quick"]

    assert settings_from(words) == {
        "num_iterations": 5,
        "rtol": 0.1,
        "enable_csv": False,
        "engines": ["openvino"],
        "input_names": ["a", "b"],
        "effort": "quick",
    }
    with pytest.raises(UsageError, match="KEY=VALUE"):
        settings_from(["num_iterations"])
