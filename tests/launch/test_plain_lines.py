"""Plain lines from Python: what `evaluate_files` tells while it works."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from turnkey.launch.python_call import evaluate_files

RELU = '<ir_version: 10, opset_import: ["" : 20]> g (float[N,4] x) => (float[N,4] y) { y = Relu (x) }'


def test_it_says_what_it_does_on_standard_error_unless_it_is_to_be_quiet(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    onnx.save(onnx.parser.parse_model(RELU), tmp_path / "m.onnx")
    for quiet in (False, True):
        evaluate_files(tmp_path / "m.onnx", ["load-onnx"], cache_dir=tmp_path / "cache", quiet=quiet)
        shown = capfd.readouterr()
        assert ("m: load-onnx successful" in shown.err) is not quiet
        assert shown.out == ""
