"""One call from a model and a dataloader to a package: models of every kind, right and wrong ones, killed ones."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from navigator_samples import SMALL, TEXT, samples

import turnkey
import turnkey.navigator as nav
from turnkey.errors import ModelError, TurnkeyError
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.exceptions import (
    ConfigurationError,
    ConfigurationWarning,
    RuntimeAnalyzerError,
    TensorTypeError,
    UserInputError,
)
from turnkey.navigator.format import Format
from turnkey.navigator.preprocessing import prepare
from turnkey.navigator.runner_table import runner_kind
from turnkey.navigator.status import CommandStatus
from turnkey.navigator.user_verification import verify_runner
from turnkey.navigator.workspace import claim

UNPROFILED = nav.ProfilerConfig(run_profiling=False)


def double(x: np.ndarray) -> np.ndarray:
    return x * 2


def ended(package: nav.Package, key: str, runner: str, command: str = "Correctness") -> CommandStatus:
    return package.status.models[key].runners_status[runner].ended(command)


class Nested(torch.nn.Module):
    """Two outputs, nested inputs, control flow that a script does not hold."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, *, extra: dict[str, Any]) -> dict[str, torch.Tensor]:
        assert isinstance(extra["shift"], list)
        return {"y": self.linear(x) + extra["shift"][0].sum(-1, keepdim=True), "z": x.relu()}


@pytest.mark.defect("ND16", "ND19")
@pytest.mark.slow
def test_a_model_with_nested_inputs_and_two_outputs_that_fails_by_one_route_goes_by_others(tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = Nested().train()
    data = nested_samples()
    package = turnkey.optimize(
        module,
        data,
        target_formats=["torchscript", "onnx"],
        runners=["TorchCPU", "TorchScriptCPU", "OnnxCPU"],
        profiler_config=nav.ProfilerConfig(run_profiling=False, batch_sizes=[1]),
        workspace=tmp_path / "workspace",
    )
    assert module.training, "the model is given back as it came"
    assert package.framework == "torch"
    script = package.status.models["torchscript-script"].commands["Export"]
    assert script.status is CommandStatus.FAIL
    assert "torch.jit.script" in script.reason
    assert (tmp_path / "workspace" / script.log_path).is_file()
    assert package.status.models["onnx"].exporter in ("dynamo", "torchscript"), "who exported is recorded"
    assert [spec.name for spec in package.status.input_metadata] == ["x", "extra.shift.0"]
    assert [(spec.name, spec.shape) for spec in package.status.output_metadata] == [("y", (-1, 3)), ("z", (-1, 4))]
    for key, runner in (("torch", "TorchCPU"), ("torchscript-trace", "TorchScriptCPU"), ("onnx", "OnnxCPU")):
        assert ended(package, key, runner) is CommandStatus.OK
    checked = package.status.models["onnx"].runners_status["OnnxCPU"].notes[0]
    assert checked == "compared at batch sizes 1, 2, 4"
    sample = {"x": data[0]["x"].numpy(), "extra.shift.0": data[0]["extra"]["shift"][0].numpy()}
    with torch.no_grad():
        expected = module.eval()(**data[0])
    for key, name in (("torch", "TorchCPU"), ("onnx", "OnnxCPU")):
        with package.runner_of(key, name) as runner:
            found = runner.infer(sample)
        assert np.allclose(found["y"], expected["y"].numpy(), atol=1e-5)
        assert set(found) == {"y", "z"}
    command = [str(package.workspace / "onnx" / "reproduce_correctness-OnnxCPU.sh")]
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "onnx @ OnnxCPU: OK" in again.stdout


def nested_samples() -> list[dict[str, Any]]:
    return [{"x": torch.randn(2, 4), "extra": {"shift": [torch.randn(2, 5)]}} for _ in range(3)]


@pytest.mark.usefixtures("here")
def test_a_module_with_nested_inputs_is_profiled_in_a_process_of_its_own(tmp_path: Path) -> None:
    package = turnkey.optimize(
        Nested(),
        nested_samples(),
        target_formats=["torch"],
        runners=["TorchCPU"],
        profiler_config=SMALL,
        workspace=tmp_path / "w",
    )
    assert "measured in this process" not in (package.workspace / "navigator.log").read_text()
    best = package.get_best_runtime(nav.SelectedRuntimeStrategy("torch", "TorchCPU"))
    assert (best.batch_size, best.runner_status.stop_reason) == (1, "complete")


@pytest.mark.defect("ND16")
@pytest.mark.usefixtures("here")
def test_a_function_may_be_called_and_may_return_in_any_style(tmp_path: Path) -> None:
    def by_keyword(*, a: np.ndarray, b: list[np.ndarray]) -> dict[str, Any]:
        return {"sum": a + b[0], "both": (a, b[0])}

    data = [{"a": each, "b": [each + 1]} for each in samples()]
    package = nav.python.optimize(by_keyword, data, workspace=tmp_path / "w", profiler_config=UNPROFILED)
    assert package.framework == "none"
    assert ended(package, "python", "PythonRunner") is CommandStatus.OK
    assert [spec.name for spec in package.status.output_metadata] == ["sum", "both.0", "both.1"]


@pytest.mark.usefixtures("here")
def test_a_positional_function_has_the_documented_names_and_may_be_named(tmp_path: Path) -> None:
    package = nav.python.optimize(double, samples(), workspace=tmp_path / "w", profiler_config=UNPROFILED)
    assert [spec.name for spec in package.status.input_metadata] == ["input__0"]
    assert [spec.name for spec in package.status.output_metadata] == ["output__0"]
    named = nav.python.optimize(
        double,
        samples(),
        input_names=["image"],
        output_names=["score"],
        workspace=tmp_path / "v",
        profiler_config=UNPROFILED,
    )
    assert [spec.name for spec in named.status.output_metadata] == ["score"]


@pytest.mark.defect("ND4", "ND8")
def test_a_runner_that_is_wrong_is_no_candidate_and_stops_no_other(tmp_path: Path, runner_class: Any) -> None:
    runner_class("Wrong", "def infer_impl(self, feed):\n    return {'output__0': feed['input__0'] * 2 + 102}\n")
    runner_class("Crash", "def infer_impl(self, feed):\n    raise RuntimeError('no')\n")
    runner_class("Dies", "def infer_impl(self, feed):\n    import os\n    os.abort()\n")
    runner_class(
        "Right", "def infer_impl(self, feed):\n    return {'output__0': feed['input__0'] + feed['input__0']}\n"
    )
    package = nav.python.optimize(double, samples(), workspace=tmp_path / "w", profiler_config=SMALL)
    runners = package.status.models["python"].runners_status
    assert {name: each.ended("Correctness").value for name, each in runners.items()} == {
        "PythonRunner": "OK",
        "Wrong": "FAIL",
        "Crash": "FAIL",
        "Dies": "FAIL",
        "Right": "OK",
    }
    assert "SIGABRT" in runners["Dies"].commands["Correctness"].reason
    assert runners["Wrong"].ended("Performance") is CommandStatus.SKIPPED
    assert {each.key for each in package.candidates().entries} == {"python @ PythonRunner", "python @ Right"}
    with pytest.raises(RuntimeAnalyzerError) as raised:
        package.get_runner(nav.SelectedRuntimeStrategy("python", "Wrong"))
    assert "Correctness FAIL" in raised.value.evidence
    assert "excluded: Correctness FAIL" in package.summary(), "shown beside the winner"


@pytest.mark.defect("ND11")
@pytest.mark.usefixtures("here")
def test_a_runner_that_goes_wrong_at_a_larger_batch_is_refused_too(tmp_path: Path, runner_class: Any) -> None:
    body = """
    def infer_impl(self, feed):
        x = feed["input__0"]
        return {"output__0": x * 2 if len(x) < 8 else x * 0}
    """
    runner_class("Small", body)
    config = nav.ProfilerConfig(run_profiling=False, batch_sizes=[1, 8])
    package = nav.python.optimize(
        double, samples(), runners=["PythonRunner", "Small"], workspace=tmp_path / "w", profiler_config=config
    )
    assert ended(package, "python", "Small") is CommandStatus.FAIL
    assert ended(package, "python", "PythonRunner") is CommandStatus.OK


@pytest.mark.defect("ND7")
@pytest.mark.usefixtures("here")
def test_a_self_stabilised_runner_delivers_its_own_statistics_with_and_without_a_batch_axis(
    tmp_path: Path, runner_class: Any
) -> None:
    body = """
    @classmethod
    def is_stabilized(cls):
        return True

    def infer_impl(self, feed):
        self.avg_latency = self.p50_latency = self.p90_latency = self.p95_latency = self.p99_latency = 2.0
        self.std_latency, self.request_count = 0.5, 7
        return {"output__0": feed["input__0"] * 2}
    """
    runner_class("Own", body)
    for batching, batch in ((True, 1), (False, None)):
        package = nav.python.optimize(
            double,
            samples(),
            batching=batching,
            runners=["Own"],
            workspace=tmp_path / f"w{batch}",
            profiler_config=nav.ProfilerConfig(batch_sizes=[1, 2] if batching else None),
        )
        first = package.status.models["python"].runners_status["Own"].rungs[0]
        assert (first.batch_size, first.avg_latency, first.request_count, first.throughput) == (batch, 2.0, 7, 500.0)


@pytest.mark.defect("ND5")
@pytest.mark.usefixtures("here")
def test_the_automatic_ladder_ends_before_memory_does(tmp_path: Path, runner_class: Any, monkeypatch: Any) -> None:
    body = """
    @classmethod
    def is_stabilized(cls):
        return True

    def infer_impl(self, feed):
        self.avg_latency = self.p50_latency = self.p90_latency = self.p95_latency = self.p99_latency = 2.0
        self.std_latency, self.request_count = 0.5, 7
        return {"output__0": feed["input__0"] * 2}
    """
    runner_class("Flat", body)
    monkeypatch.setattr("turnkey.host.available_memory_bytes", lambda: 16 * 4 * 8 * 100)
    package = nav.python.optimize(double, samples(), runners=["Flat"], workspace=tmp_path / "w")
    found = package.status.models["python"].runners_status["Flat"]
    assert found.stop_reason == "memory_guard", "its throughput doubles at every rung, for ever"
    assert [rung.batch_size for rung in found.rungs] == [1, 2, 4, 8, 16, 32, 64, 128, 256]


@pytest.mark.usefixtures("here")
def test_a_model_of_one_batch_size_is_profiled_at_that_one(tmp_path: Path) -> None:
    def fixed(x: np.ndarray) -> np.ndarray:
        return x.reshape(2, 4) * 2

    config = nav.ProfilerConfig(measurement_request_count=2, stability_percentage=1000.0)
    package = nav.python.optimize(fixed, samples(), workspace=tmp_path / "w", profiler_config=config)
    found = package.status.models["python"].runners_status["PythonRunner"]
    assert [rung.batch_size for rung in found.rungs] == [2]
    assert any("does not take batch size 1" in note for note in package.status.own["notes"])


@pytest.mark.defect("ND11")
@pytest.mark.usefixtures("here")
def test_rows_that_influence_each_other_are_told(tmp_path: Path) -> None:
    def normalized(x: np.ndarray) -> np.ndarray:
        return x - x.mean(axis=0, keepdims=True) + 1

    package = nav.python.optimize(normalized, samples(), workspace=tmp_path / "w", profiler_config=UNPROFILED)
    assert any("influence each other" in note for note in package.status.own["notes"])


@pytest.mark.defect("ND14")
@pytest.mark.usefixtures("here")
def test_a_verify_function_is_given_outputs_and_references_in_order_and_its_refusal_counts(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []

    def accepts(outputs: Any, references: Any) -> Any:
        outputs, references = list(outputs), list(references)
        seen.append((len(outputs), len(references)))
        assert all((a["output__0"] == b["output__0"]).all() for a, b in zip(outputs, references, strict=True))
        return np.True_

    config = nav.ProfilerConfig(batch_sizes=[1], measurement_request_count=2, stability_percentage=1000)
    options: dict[str, Any] = {"sample_count": 2, "profiler_config": config}
    package = nav.python.optimize(double, samples(5), verify_func=accepts, workspace=tmp_path / "a", **options)
    assert ended(package, "python", "PythonRunner", "VerifyModel") is CommandStatus.OK, "numpy's True is true"
    assert seen == [(5, 5)], "the whole dataloader"
    again = nav.python.optimize(
        double, samples(5), verify_func=lambda o, r: False, workspace=tmp_path / "a", **options
    )
    assert ended(again, "python", "PythonRunner", "VerifyModel") is CommandStatus.FAIL, "another function is asked"
    assert again.status.uuid == package.status.uuid, "and nothing else is repeated"
    prepared = prepare(
        double,
        Format.PYTHON,
        samples(2),
        sample_count=2,
        batching=True,
        input_names=None,
        output_names=None,
        say=lambda text: None,
    )
    contestant = Contestant(model_key="python", kind=runner_kind("PythonRunner"), path=None)
    reasons = [
        verify_runner(refuses, contestant, prepared)
        for refuses in (lambda o, r: False, lambda o, r: "yes", lambda o, r: 1 / 0)
    ]
    assert ["returned False" in reasons[0], "'yes'" in reasons[1], "ZeroDivisionError" in reasons[2]] == [True] * 3


def test_nan_in_the_sources_outputs_is_an_error_before_anything_is_written(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="NaN"):
        nav.python.optimize(lambda x: x * np.nan, samples(), workspace=tmp_path / "w")
    with pytest.raises(ModelError, match="fails on a sample"):
        nav.python.optimize(lambda x: 1 / 0, samples(), workspace=tmp_path / "w")
    assert not (tmp_path / "w").exists()


@pytest.mark.defect("ND15")
@pytest.mark.usefixtures("here")
def test_a_foreign_directory_is_never_touched_and_another_run_never_deleted_unasked(tmp_path: Path) -> None:
    foreign = tmp_path / "mine"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("x")
    with pytest.raises(ConfigurationError, match="something else"):
        nav.python.optimize(double, samples(), workspace=foreign, profiler_config=UNPROFILED)
    with pytest.raises(ConfigurationError):
        nav.python.optimize(double, samples(), workspace=foreign, profiler_config=UNPROFILED, override_workspace=True)
    assert [each.name for each in foreign.iterdir()] == ["thesis.tex"]
    first = nav.python.optimize(double, samples(), workspace=tmp_path / "w", profiler_config=UNPROFILED)
    with pytest.raises(ConfigurationError, match="another run"):
        nav.python.optimize(double, samples(4), workspace=tmp_path / "w", profiler_config=UNPROFILED)
    assert nav.package.load_from_workspace(first.workspace).status == first.status
    second = nav.python.optimize(
        double, samples(4), workspace=tmp_path / "w", profiler_config=UNPROFILED, override_workspace=True
    )
    assert second.status.uuid != first.status.uuid


@pytest.mark.usefixtures("here")
def test_the_default_workspace_of_another_run_gets_a_neighbour(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    one = nav.python.optimize(double, samples(), profiler_config=UNPROFILED)
    two = nav.python.optimize(double, samples(4), profiler_config=UNPROFILED)
    assert [one.workspace.name, two.workspace.name] == ["navigator_workspace", "navigator_workspace-2"]


def test_a_profile_of_other_inputs_than_the_models_is_refused_before_anything_is_written(
    made: Path, tmp_path: Path
) -> None:
    config = nav.TensorRTConfig(trt_profile=nav.TensorRTProfile().add("image", (1, 4), (2, 4), (8, 4)))
    with pytest.raises(ConfigurationError, match="does not fit") as raised:
        turnkey.onnx.optimize(
            made.parent / "exp.onnx", samples(), custom_configs=[config], target_device="cpu", workspace=tmp_path / "w"
        )
    assert "inputs ['image'], the model ['x']" in raised.value.evidence
    assert not (tmp_path / "w").exists()


def test_the_same_call_again_repeats_nothing(tmp_path: Path, made: Path) -> None:
    shutil.copytree(made, tmp_path / "workspace")
    shutil.copy(made.parent / "exp.onnx", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "workspace" / "runs").iterdir()}
    package = turnkey.onnx.optimize(
        tmp_path / "exp.onnx",
        samples(),
        workspace=tmp_path / "workspace",
        profiler_config=SMALL,
        target_formats=["onnx"],
    )
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "workspace" / "runs").iterdir()} == before
    assert package.status.uuid == nav.package.load_from_workspace(made).status.uuid


@pytest.mark.defect("ND6")
def test_a_killed_run_continues_where_it_was(tmp_path: Path) -> None:
    onnx.save(onnx.parser.parse_model(TEXT), str(tmp_path / "exp.onnx"))
    script = tmp_path / "run.py"
    text = """
    import sys
    import numpy as np
    import turnkey
    import turnkey.navigator as nav

    generator = np.random.default_rng(0)
    data = [generator.standard_normal((2, 4)).astype(np.float32) for _ in range(3)]
    config = nav.ProfilerConfig(
        batch_sizes=[1, 2, 4], measurement_request_count=5, stability_percentage=1000.0, throughput_cutoff_threshold=-2
    )
    turnkey.onnx.optimize(
        "exp.onnx", data, target_formats=["onnx"], profiler_config=config, workspace="w", verbose=True
    )
    """
    script.write_text(textwrap.dedent(text))
    command = [sys.executable, str(script)]
    first = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True)
    try:
        deadline = time.monotonic() + 200
        while not (tmp_path / "w" / "runs" / "batch-1.zip").exists():
            assert first.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    found = nav.package.load_from_workspace(tmp_path / "w")
    assert ended(found, "onnx", "OnnxCPU") is CommandStatus.OK
    assert ended(found, "onnx", "OnnxCPU", "Performance") is CommandStatus.INITIALIZED
    kept = (tmp_path / "w" / "runs" / "batch-1.zip").read_bytes()
    second = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert second.returncode == 0, second.stderr
    assert second.stdout == "", "what it does is told on the error stream"
    assert "Correctness" not in second.stderr, "it was done"
    assert "batch 1: taken from its record" in second.stderr
    assert (tmp_path / "w" / "runs" / "batch-1.zip").read_bytes() == kept
    package = nav.package.load_from_workspace(tmp_path / "w")
    rungs = package.status.models["onnx"].runners_status["OnnxCPU"].rungs
    assert [rung.batch_size for rung in rungs] == [1, 2, 4], "ascending, whatever the order given"


def test_the_workspace_is_a_build_that_other_tools_load(package: nav.Package) -> None:
    state = turnkey.load_state(state_path=package.workspace / "workspace_state.yaml")
    assert [variant.key for variant in state.variants] == ["onnx"]
    assert state.chosen == "onnx @ OnnxCPU"
    assert state.verification[0]["verdict"] == "valid"
    assert state.measurements[0]["batch_size"] == 1


@pytest.mark.defect("ND29")
def test_a_runner_refuses_wrong_inputs_before_the_call(package: nav.Package) -> None:
    x = np.ones((2, 4), np.float32)
    runner = package.get_runner()
    with pytest.raises(UserInputError, match="not active"):
        runner.infer({"x": x})
    with runner:
        assert runner.infer({"x": x})["y"].shape == (2, 4)
        assert runner.last_inference_time() is not None
        for feed, kind in (
            ({}, UserInputError),
            ([x], UserInputError),
            ({"x": x, "y": x}, UserInputError),
            ({"x": x.astype(np.float64)}, TensorTypeError),
            ({"x": x[:, :3]}, TensorTypeError),
        ):
            with pytest.raises(kind):
                runner.infer(feed)


def test_two_runners_of_one_name_are_refused(runner_class: Callable[[str, str], type]) -> None:
    cls = runner_class("Once", "def infer_impl(self, feed):\n    return feed\n")
    with pytest.raises(ValueError, match="already"):
        nav.register_runner(cls)  # type: ignore[type-var]


@pytest.mark.defect("ND25")
def test_conversions_and_checks_share_one_worker_process(tmp_path: Path, runner_class: Any) -> None:
    body = """
    def infer_impl(self, feed):
        import os
        print("PID", os.getpid())
        return {"output__0": feed["input__0"] * 2}
    """
    runner_class("First", body)
    runner_class("Second", body)
    package = nav.python.optimize(
        double, samples(), runners=["First", "Second"], workspace=tmp_path / "w", profiler_config=UNPROFILED
    )
    logs = [(package.workspace / "python" / f"correctness-{name}.log").read_text() for name in ("First", "Second")]
    pids = {line for log in logs for line in log.splitlines() if line.startswith("PID")}
    assert len(pids) == 1
    assert pids != {f"PID {os.getpid()}"}


@pytest.mark.needs("jax")
@pytest.mark.usefixtures("here")
def test_a_function_of_jax_is_stored_and_runs_without_its_source(
    tmp_path: Path,
) -> None:
    import jax

    package = nav.jax.optimize(
        jax.jit(lambda x: jax.numpy.tanh(x) * 2), samples(), workspace=tmp_path / "w", profiler_config=UNPROFILED
    )
    assert ended(package, "stablehlo", "JaxCPU") is CommandStatus.OK
    x = samples(1, batch=5)[0]
    with nav.package.load_from_workspace(package.workspace).runner_of("stablehlo", "JaxCPU") as runner:
        assert np.allclose(runner.infer({"input__0": x})["output__0"], np.tanh(x) * 2, atol=1e-6)


@pytest.mark.usefixtures("here")
def test_steps_are_told_on_the_error_stream_and_in_the_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    package = nav.python.optimize(double, samples(), workspace=tmp_path / "w", profiler_config=UNPROFILED)
    captured = capsys.readouterr()
    assert captured.out == "", "the terminal's output is the caller's"
    assert "python @ PythonRunner: Correctness OK\n" in captured.err
    assert "3 samples, fewer than sample_count=100" in captured.err
    assert "python @ PythonRunner: Correctness OK\n" in (package.workspace / "navigator.log").read_text()


@pytest.mark.usefixtures("here")
def test_conversions_stay_in_this_process_where_the_user_wants_no_other(tmp_path: Path, runner_class: Any) -> None:
    runner_class(
        "Here",
        "def infer_impl(self, feed):\n    import os\n    print('PID', os.getpid())\n"
        "    return {'output__0': feed['input__0'] * 2}\n",
    )
    package = nav.python.optimize(
        double, samples(), runners=["Here"], workspace=tmp_path / "w", profiler_config=UNPROFILED
    )
    assert f"PID {os.getpid()}" in (package.workspace / "python" / "correctness-Here.log").read_text()


def test_a_framework_that_is_not_here_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(TurnkeyError, match="tensorflow") as raised:
        nav.tensorflow.optimize(object(), samples())
    assert raised.value.remedy == "pip install 'turnkey[tensorflow]'"
    with pytest.raises(ConfigurationError, match="another kind"):
        turnkey.torch.optimize("model.onnx", samples())


@pytest.mark.usefixtures("here")
def test_two_runs_that_begin_at_once_in_one_directory_do_not_get_each_others_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second call claims the directory before the first has written whose run it is, then waits for its lock."""
    from turnkey.navigator import optimization

    monkeypatch.chdir(tmp_path)
    real_claim = optimization.claim
    others: list[nav.Package] = []

    def claim(*given: Any, **options: Any) -> Any:
        workspace = real_claim(*given, **options)
        if workspace.path.name == "navigator_workspace" and not others:
            monkeypatch.setattr(optimization, "claim", real_claim)
            others.append(nav.python.optimize(lambda x: x * 3, samples(), profiler_config=UNPROFILED))
        return workspace

    monkeypatch.setattr(optimization, "claim", claim)
    mine = nav.python.optimize(double, samples(), profiler_config=UNPROFILED)
    assert [others[0].workspace.name, mine.workspace.name] == ["navigator_workspace", "navigator_workspace-2"]
    with mine.runner_of("python", "PythonRunner") as runner:
        x = samples(1)[0]
        assert (runner.infer({"input__0": x})["output__0"] == x * 2).all()


def test_who_waits_for_another_process_is_told(tmp_path: Path) -> None:
    workspace = claim(tmp_path / "w", is_same_run=lambda found: True)
    told: list[str] = []
    with workspace.build.lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        def ended_then() -> None:
            told.append("waits")
            fcntl.flock(file, fcntl.LOCK_UN)

        with workspace.held(on_wait=ended_then):
            assert told == ["waits"]


@pytest.mark.usefixtures("here")
def test_limits_of_outputs_that_the_model_does_not_have_are_warned_about(tmp_path: Path) -> None:
    with pytest.warns(ConfigurationWarning, match="for score; the outputs of the model are output__0"):
        nav.python.optimize(
            double,
            samples(),
            tolerances={"score": (1.0, 1.0)},
            runners=["PythonRunner"],
            workspace=tmp_path / "w",
            profiler_config=UNPROFILED,
        )


@pytest.mark.usefixtures("here")
def test_a_climb_that_a_budget_ended_goes_on_when_the_call_is_made_again(
    tmp_path: Path, runner_class: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from navigator_statuses import rung

    from turnkey.navigator import optimization
    from turnkey.navigator.profiled import Profiled

    runner_class("Right", "def infer_impl(self, feed):\n    return {'output__0': feed['input__0'] * 2}\n")
    asked: list[list[str]] = []
    stops = iter([("budget", "saturated"), ("complete", "saturated")])

    def profiled(prepared: Any, contestants: Any, plan: Any, **_: Any) -> dict[str, Profiled]:
        asked.append([each.kind.name for each in contestants])
        pairs = zip(contestants, next(stops), strict=True)
        return {each.key: Profiled(rungs=(rung(1.0),), stop_reason=stop) for each, stop in pairs}

    monkeypatch.setattr(optimization, "profile_contestants", profiled)
    for budget_s in (1.0, None, None):
        nav.python.optimize(double, samples(), workspace=tmp_path / "w", budget_s=budget_s)
    assert asked == [["PythonRunner", "Right"]] * 2, "all climb together, as long as a budget ended the climb of one"
