"""Loading a file in a process of its own."""

from __future__ import annotations

import pytest
from sources import LINEAR, linear_weights, write_onnx

from turnkey.formats.onnx_load_probe import LoadCrash, load_refusal


def test_a_good_file_loads_whatever_lies_in_the_working_directory(tmp_path, monkeypatch):
    path = write_onnx(tmp_path / "linear.onnx", LINEAR, linear_weights())
    (tmp_path / "onnxruntime.py").write_text("raise SystemExit('a stranger')")
    monkeypatch.chdir(tmp_path)
    assert load_refusal(path) is None


def test_a_refused_file_brings_onnx_runtimes_own_words(tmp_path):
    path = tmp_path / "broken.onnx"
    path.write_bytes(b"broken")
    assert "broken.onnx" in (load_refusal(path) or "")


def test_a_process_that_dies_is_told_apart_from_one_that_refuses(tmp_path, monkeypatch):
    monkeypatch.setattr("turnkey.formats.onnx_load_probe._PROGRAM", "import os; os.kill(os.getpid(), 11)")
    with pytest.raises(LoadCrash, match="SIGSEGV"):
        load_refusal(tmp_path / "any.onnx")
