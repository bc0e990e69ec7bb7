"""``mlf`` as a runtime of the product: the same interface as every other, in the same experiment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import models
import numpy as np
import onnx
import pytest

from turnkey.errors import UsageError
from turnkey.mlf.runtime import RUNTIME
from turnkey.runtimes.runtime import LoadRequest

pytestmark = pytest.mark.needs("emx_onnx_cgen")

IMAGE = {"image": np.random.default_rng(1).standard_normal((1, 2, 8, 8)).astype(np.float32)}


def test_a_tarball_runs_behind_the_interface_of_a_runtime(cnn_tar: Path) -> None:
    runner = RUNTIME.load(LoadRequest(path=cnn_tar, threads=2))
    prepared = runner.prepare(IMAGE)
    outputs = runner.outputs(runner.run(prepared))
    expected = models.outputs_of(models.model_of(models.CNN), IMAGE)
    np.testing.assert_allclose(outputs["scores"], expected["scores"], rtol=1e-5, atol=1e-7)
    facts = runner.describe()
    assert facts["notes"] == ["the C code runs on one thread"]
    assert facts["workspace_bytes"] > 0
    assert facts["placement"]["cpu"] >= 4
    runner.close()


def test_options_that_it_does_not_know_and_missing_files_are_usage_errors(cnn_tar: Path) -> None:
    with pytest.raises(UsageError):
        RUNTIME.load(LoadRequest(path=cnn_tar, threads=1, options={"speed": "high"}))
    with pytest.raises(UsageError, match="tarballs"):
        RUNTIME.load(LoadRequest(threads=1))


@pytest.mark.slow
def test_benchmark_puts_it_beside_onnxruntime(tmp_path: Path) -> None:
    onnx.save(models.model_of(models.CNN), tmp_path / "net.onnx")
    command = [str(Path(sys.executable).with_name("turnkey")), "-d", "cache", "-i", "net.onnx", "load-onnx"]
    command += ["export-mlf", "--name", "kws", "benchmark", "--runtimes", "onnxruntime", "mlf", "--effort", "quick"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=280)
    assert result.returncode == 0, result.stdout + result.stderr
    text = result.stdout + result.stderr
    assert "onnx-mlf" in text
    assert "onnxruntime" in text
