"""The tour of the product: what Turnkey does, each thing in a few lines. Read this file first."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

import turnkey
import turnkey.navigator as nav
from turnkey.measure import Record
from turnkey.model.samples import read_samples
from turnkey.report import get_dict, write_report

SCRIPT = '''#labels author::tour task::demonstration
"""Two models, as people have them: one in a list, one called by keyword."""
import sys
import torch

class Scale(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(8, 4)

    def forward(self, *, features, factor):
        return {"scaled": torch.relu(self.linear(features)) * factor}

torch.manual_seed(0)
batch_size = int(sys.argv[1]) if len(sys.argv) > 1 else 2
models = [torch.nn.Linear(3, 8).eval()]
models.append(Scale().eval())
hidden = models[0](torch.rand(batch_size, 3))
models[1](features=hidden, factor=torch.tensor(2.0))
'''

ADD_ONE = """
<ir_version: 9, opset_import: ["" : 20]>
add_one (float[n] x) => (float[n] y) {
    one = Constant <value = float {1.0}> ()
    y = Add (x, one)
}
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "tour.py"
    path.write_text(SCRIPT)
    return path


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def command(*words: str | Path, cache: Path) -> subprocess.CompletedProcess[str]:
    """The command line, as a shell would start it."""
    executable = Path(sys.executable).with_name("turnkey")
    variables = {**os.environ, "TURNKEY_CACHE_DIR": str(cache)}
    return subprocess.run([executable, *map(str, words)], capture_output=True, text=True, env=variables, check=False)


def test_a_script_is_run_and_its_models_are_found_with_their_real_inputs(script: Path) -> None:
    listing = turnkey.discover(script, script_args="5")
    first, second = listing.models
    assert (first.class_name, second.class_name) == ("Linear", "Scale")
    assert len({first.hash, second.hash}) == 2


def test_one_input_goes_through_a_sequence_of_tools(script: Path, cache: Path) -> None:
    sequence = turnkey.Sequence(["discover", ("export-pytorch", {"opset": 18}), "optimize-ort", "verify"])
    [result] = turnkey.evaluate_files(script, sequence, cache_dir=cache)
    assert result.status == "successful"
    assert result.build_name == "tour_tour"  # file and author
    state = result.state
    assert state is not None
    assert [variant.key for variant in state.variants] == ["onnx", "onnx-opt"]
    assert state.expected_input_shapes == {"features": (2, 8), "factor": ()}
    assert state.statistics["verify_status"] == "valid"

    # What a tool leaves behind can be read without Turnkey ...
    exported = onnx.load(state.build_dir / state.variant("onnx").path)
    assert [value.name for value in exported.graph.input] == ["features", "factor"]
    assert exported.opset_import[0].version == 18
    # ... and the inputs are those that the script used.
    samples = read_samples(state.build_dir / "samples")
    assert samples.inputs[0]["features"].shape == (2, 8)
    assert samples.inputs[0]["factor"] == np.float32(2)


def test_a_build_is_continued_where_it_lies(script: Path, cache: Path) -> None:
    turnkey.evaluate_files(script, ["discover", "export-pytorch"], cache_dir=cache)
    stored = cache / "tour_tour" / "tour_tour_state.yaml"
    [result] = turnkey.evaluate_files(stored, ["load-build", "optimize-ort"], cache_dir=cache)
    assert result.status == "successful"
    assert turnkey.load_state(state_path=stored).results == "onnx-opt"


@pytest.mark.slow
def test_candidates_are_measured_in_one_experiment_and_a_verified_one_is_recommended(
    script: Path, cache: Path
) -> None:
    tools = [
        "discover",
        "export-pytorch",
        "verify",
        ("benchmark", {"runtimes": ["torch", "onnxruntime"], "effort": "quick"}),
    ]
    [result] = turnkey.evaluate_files(script, tools, cache_dir=cache)
    assert result.status == "successful", result.error
    assert result.state is not None
    measured = {entry["key"]: entry for entry in result.state.measurements}
    assert set(measured) == {"torch", "onnx @ onnxruntime"}
    record = Record.load(result.state.build_dir / measured["torch"]["record"])
    summary = record.summary("onnx @ onnxruntime")
    assert summary.latency_ms is not None
    assert summary.timed_calls > 0
    if result.state.chosen is not None:  # on a disturbed host nothing need be
        assert result.state.chosen in measured


def test_the_command_line_does_the_same_and_a_failing_input_stops_no_other(tmp_path: Path, cache: Path) -> None:
    good, bad = tmp_path / "add_one.onnx", tmp_path / "broken.onnx"
    onnx.save(onnx.parser.parse_model(ADD_ONE), good)
    bad.write_bytes(b"not a model")
    done = command("-i", bad, good, "--json", "load-onnx", "optimize-ort", "verify", cache=cache)
    assert done.returncode == 1
    broken, fine = json.loads(done.stdout)["results"]
    assert (broken["status"], fine["status"]) == ("error", "successful")
    assert {"what", "evidence", "remedy"} <= set(broken["error"])


def test_a_mistake_is_told_before_anything_runs(cache: Path) -> None:
    done = command("-i", "missing.py", "discover", cache=cache)
    assert done.returncode == 2
    assert "missing.py" in done.stderr
    assert not cache.exists()


def test_a_report_has_a_row_per_build(script: Path, cache: Path, tmp_path: Path) -> None:
    turnkey.evaluate_files(script, ["discover"], cache_dir=cache)
    report = write_report([cache], tmp_path / "reports")
    found = get_dict(report.files["csv"], ["author", "class", "build_status"])
    assert found == {"tour": {"author": "tour", "class": "Scale", "build_status": "successful"}}


def test_a_decorated_class_is_benchmarked_into_one_file(tmp_path: Path) -> None:
    @turnkey.Lexer(input_names=["x"], output_names=["y"], exporter="torchscript")
    class Scores(torch.nn.Linear):
        pass

    with turnkey.LexerContext(config={"enable_stdout": False}) as context:
        report = context.benchmark(Scores(4, 2), torch.ones(1, 4), num_iterations=20)
        path = context.flush("tour", tmp_path)
    assert [(row.engine, row.num_samples, row.validation) for row in report] == [
        ("onnxruntime", 20, "pass"),
        ("torch", 20, "pass"),
    ]
    assert {"Scores.onnx", "Scores.csv", "tour.toml"} <= set(zipfile.ZipFile(path).namelist())


def test_one_call_makes_a_package_that_serves_the_best_verified_runtime(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(ADD_ONE), tmp_path / "add_one.onnx")
    package = turnkey.optimize(
        tmp_path / "add_one.onnx",
        dataloader=[{"x": np.full(2, value, np.float32)} for value in range(3)],
        target_formats=["onnx"],
        profiler_config=nav.ProfilerConfig(batch_sizes=[2], measurement_request_count=5, stability_percentage=1000.0),
        workspace=tmp_path / "workspace",
    )
    with package.get_runner() as runner:
        assert runner.infer({"x": np.ones(2, np.float32)})["y"].tolist() == [2.0, 2.0]


@pytest.mark.needs("gcc", "emx_onnx_cgen")
def test_a_network_becomes_c_source_with_planned_memory(tmp_path: Path, cache: Path) -> None:
    onnx.save(onnx.parser.parse_model(ADD_ONE), tmp_path / "add_one.onnx")
    tarball = tmp_path / "add_one.tar"
    tools = ("load-onnx", "--dim", "n=4", "export-mlf", "--output", tarball)
    done = command("-i", tmp_path / "add_one.onnx", *tools, cache=cache)
    assert done.returncode == 0, done.stderr
    with tarfile.open(tarball) as archive:
        names = [name.removeprefix("./") for name in archive.getnames()]
    assert "metadata.json" in names
    assert any(name.endswith(".c") for name in names)
