"""A package profiled again: every sample of it or of a dataloader, on the runners that are right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml

import turnkey.navigator as nav
from turnkey.cli.main import main


def test_a_package_is_profiled_again_by_the_command_line(
    package: nav.Package, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "profile.yaml"
    command = ["package", "profile", str(package.workspace), "--batch-sizes", "1", "--runners", "OnnxCPU"]
    assert main([*command, "--target-formats", "onnx", "--threads", "1", "--output", str(output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [
        f"onnx @ OnnxCPU, sample {index}, batch 1" for index in range(3)
    ], "the samples of the dataloader, and not those that were made of their rows"
    found = yaml.safe_load(output.read_text())
    [rung] = found["models"]["onnx"]["runners"]["OnnxCPU"]["detailed"]["0"]
    assert {"p50_latency", "throughput", "request_count", "stable", "ci_low", "ci_high", "validity"} <= set(rung)
    assert found["samples_data"]["2"] == {"x": {"shape": [2, 4], "dtype": "float32"}}


def test_who_asks_again_gets_a_measurement_of_what_is_given_now(package: nav.Package) -> None:
    for number, batch in ((2, 3), (3, 5)):
        found = nav.package.profile(
            package,
            [{"x": np.ones((batch, 4), np.float32)}],
            batch_sizes=[None],
            window_size=2,
            stability_percentage=1000.0,
        )
        assert found.samples_data[0]["x"]["shape"] == [batch, 4]
        assert found.models["onnx"].runners["OnnxCPU"].detailed[0][0]["batch_size"] is None
        assert (package.workspace / "runs" / str(number) / "sample-0").is_dir()
