"""What a script says at a terminal while it exports and benchmarks."""

from __future__ import annotations

import io

import pytest
import torch
from lexer_models import Tiny

from turnkey import LexerContext

FAST = {"num_iterations": 3, "enable_stdout": False}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_terminal_is_told_of_every_point_of_the_export_and_of_the_engines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)

    LexerContext(config=FAST).sweep(Tiny(), torch.ones(2, 4), batch_sizes=[1, 3], threads=[1])

    said = terminal.getvalue().splitlines()
    assert said[:2] == ["point 1 of 2: x[1,4], 1 thread", "exporting Tiny to ONNX"]
    assert said.count("round 1 of 1: onnxruntime, torch") == 2
    assert said.count("point 2 of 2: x[3,4], 1 thread") == 1
    assert said.count("exporting Tiny to ONNX") == 1  # the file serves both
    assert capsys.readouterr().out == ""


def test_nobody_is_told_without_a_terminal_or_where_it_is_to_be_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    only_torch = {**FAST, "enable_onnxruntime": False, "enable_onnx_checks": False}
    LexerContext(config=only_torch).benchmark(Tiny(), torch.ones(2, 4))
    assert capsys.readouterr().err == ""
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.setenv("TURNKEY_CONSOLE_OUTPUT", "0")
    LexerContext(config=only_torch).benchmark(Tiny(), torch.ones(2, 4))
    assert terminal.getvalue() == ""
