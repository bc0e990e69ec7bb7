"""The tool discover, through the pipeline: what it hands on, what it writes, and how each bad script ends."""

from __future__ import annotations

import textwrap
from pathlib import Path

import numpy as np
import pytest

import turnkey
from turnkey.discovery import let_go
from turnkey.errors import ArtifactError
from turnkey.launch.python_call import evaluate_files
from turnkey.model.samples import read_samples
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.state import State
from turnkey.tools.discover import Discover

MODEL = """
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(4, 3)

    def forward(self, x, mask=None):
        return {"logits": self.layer(x), "mask": mask}

torch.manual_seed(0)
x = torch.ones(2, 4)
"""


ARGUMENTS = """
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--count", required=True)
parser.parse_args()
"""


def run(tmp_path: Path, body: str, sequence: object = ("discover",), name: str = "script.py"):  # type: ignore[no-untyped-def]
    path = tmp_path / name
    path.write_text(MODEL + textwrap.dedent(body))
    (result,) = evaluate_files([str(path)], turnkey.Sequence(list(sequence)), cache_dir=tmp_path / "cache")  # type: ignore[call-overload]
    return result


def log(tmp_path: Path, build: str = "script") -> str:
    return BuildPaths(tmp_path / "cache", build).log("discover").read_text()


def test_it_hands_on_the_model_with_names_shapes_hashes_and_samples(tmp_path: Path) -> None:
    result = run(tmp_path, "net = Net()\nfor k in range(3): net(x * k, mask=x > 0)\nprint('from the script')")
    state = result.state
    assert result.status == "successful"
    assert state.expected_input_shapes == {"x": (2, 4), "mask": (2, 4)}
    assert state.expected_input_dtypes == {"x": "float32", "mask": "bool"}
    assert state.expected_output_names == ("logits", "mask")
    statistics = state.statistics
    assert statistics["hash"] == statistics["selected_invocation_hash"] == state.model_hash[:8]
    assert (statistics["class"], statistics["model_name"], statistics["parameters"]) == ("Net", "script", 15)
    assert (statistics["script_exit_code"], statistics["training_mode_seen"]) == (0, True)
    assert (statistics["hash_basis"], len(statistics["weights_hash"])) == ("calls", 8)
    samples = read_samples(BuildPaths(tmp_path / "cache", "script").samples)
    assert [sample["x"][0, 0] for sample in samples.inputs] == [0, 1, 2]
    assert samples.outputs[0] is not None
    assert list(samples.outputs[0]) == ["logits", "mask"]
    first, second = log(tmp_path).split("from the script")
    assert first.splitlines() == [Discover.progress]
    assert "1 model in" in second


def test_a_script_that_exits_with_zero_is_a_success(tmp_path: Path) -> None:
    assert run(tmp_path, "Net()(x); raise SystemExit(0)").status == "successful"


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("Net()(x); raise SystemExit(3)", 3, "exit code 3"),
        ("Net()(x); raise ValueError('after the call')", 1, "after the call"),
        ("raise ValueError('before the call')", 1, "before the call"),
    ],
)
def test_a_failing_script_fails_its_input_with_its_exit_code(tmp_path: Path, body: str, code: int, said: str) -> None:
    result = run(tmp_path, body)
    assert result.status == "error"
    assert result.state.statistics["script_exit_code"] == code
    assert said in str(result.failure.error)
    assert ("Net" in str(result.failure.error)) == body.startswith("Net")


def test_a_failing_script_can_be_allowed_once_it_called_a_model(tmp_path: Path) -> None:
    sequence = [("discover", {"allow_script_failure": True})]
    assert run(tmp_path, "Net()(x); raise ValueError('no')", sequence).status == "successful"
    assert run(tmp_path, "raise ValueError('no')", sequence).status == "error"


def test_a_script_without_a_call_is_an_error_and_one_without_torch_is_skipped(tmp_path: Path) -> None:
    result = run(tmp_path, "net = Net()")
    assert (result.status, "net (Net)" in str(result.failure.error)) == ("error", True)
    path = tmp_path / "__init__.py"
    path.write_text("import json\n")
    (skipped,) = evaluate_files([str(path)], turnkey.Sequence(["discover"]), cache_dir=tmp_path / "cache")
    assert skipped.status == "skipped"
    assert "no model" in skipped.reason


def test_an_unknown_hash_lists_the_valid_ones_and_a_numbered_one_selects(tmp_path: Path) -> None:
    body = "a = Net(); b = Net(); a(x); b(x)"
    result = run(tmp_path, body)
    number = result.state.statistics["hash"]
    assert number.endswith(".2")
    first = number.removesuffix(".2")
    path = str(tmp_path / "script.py")
    sequence = turnkey.Sequence(["discover"])
    (chosen,) = evaluate_files([f"{path}::{first}"], sequence, cache_dir=tmp_path / "cache")
    assert chosen.state.statistics["hash"] == first
    assert chosen.state.weights_hash != result.state.weights_hash
    (unknown,) = evaluate_files([f"{path}::deadbeef"], sequence, cache_dir=tmp_path / "cache")
    assert unknown.status == "error"
    assert first in str(unknown.failure.error)


def test_script_arguments_reach_every_script(tmp_path: Path) -> None:
    body = "import sys; net = Net(); net(torch.ones(int(sys.argv[2]), 4))"
    result = run(tmp_path, body, [("discover", {"script_args": "--batch_size 8"})])
    assert result.state.expected_input_shapes == {"x": (8, 4)}


def test_a_call_with_an_opaque_argument_is_found_and_writes_no_samples(tmp_path: Path) -> None:
    body = """
    class Thing: scale = 2
    class Odd(nn.Module):
        def __init__(self):
            super().__init__(); self.w = nn.Parameter(torch.ones(4))
        def forward(self, x, thing): return x * self.w * thing.scale
    Odd()(x, Thing())
    """
    result = run(tmp_path, body)
    assert result.status == "successful"
    with pytest.raises(ArtifactError):
        read_samples(BuildPaths(tmp_path / "cache", "script").samples)


def test_the_tool_runs_without_a_pipeline(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "script.py"
    path.write_text(MODEL + "net = Net(); net(x)")
    state = Discover().run(State(cache_dir=tmp_path, build_name="b"), input=str(path))
    assert state.model is not None
    assert np.allclose(state.model.module.layer.weight.shape, (3, 4))  # type: ignore[union-attr]
    assert "Net" in state.listing
    let_go()


@pytest.mark.slow
def test_models_of_earlier_inputs_are_not_in_memory(tmp_path: Path) -> None:
    body = """
    import gc, resource, sys
    net = nn.Linear(2048, 2048 * 4)  # 64 MiB
    net(torch.ones(1, 2048))
    sizes = [t.numel() for t in gc.get_objects() if isinstance(t, nn.Parameter) and t.numel() > 1e6]
    print("large:", len(sizes))
    """
    paths = []
    for k in range(4):
        path = tmp_path / f"large{k}.py"
        ending = "raise ValueError('a failure holds frames')" if k == 1 else ""
        path.write_text(MODEL + textwrap.dedent(body) + ending)
        paths.append(str(path))
    results = evaluate_files(paths, turnkey.Sequence(["discover"]), cache_dir=tmp_path / "cache")
    assert [result.status for result in results] == ["successful", "error", "successful", "successful"]
    assert "a failure holds frames" in results[1].failure.user_traceback
    for k in range(4):
        assert "large: 1" in log(tmp_path, f"large{k}")


@pytest.mark.slow
def test_all_makes_one_build_of_every_top_level_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise ImportError('not this one')")  # beside the caller, not beside the script
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "scripts" / "script.py"
    path.parent.mkdir()
    path.write_text(MODEL + "a = Net(); b = nn.Linear(4, 1); c = Net(); a(x); b(x); c(x); nn.MSELoss()(x, x)")
    sequence = turnkey.Sequence([("discover", {"all": True})])
    results = evaluate_files([str(path)], sequence, cache_dir=tmp_path / "cache")
    hashes = [result.state.statistics["hash"] for result in results]
    assert [result.build_name for result in results] == [f"script_{entry}" for entry in hashes]
    assert [result.state.statistics["class"] for result in results] == ["Net", "Linear", "Net"]
    assert hashes[2] == f"{hashes[0]}.2"
    assert results[0].state.weights_hash != results[2].state.weights_hash


def test_all_keeps_an_input_that_shows_no_model(tmp_path: Path) -> None:
    result = run(tmp_path, "raise ValueError('too early')", [("discover", {"all": True})])
    assert (result.status, "too early" in str(result.failure.error)) == ("error", True)


def test_the_first_line_of_a_failed_script_names_the_exception(tmp_path: Path) -> None:
    error = run(tmp_path, "raise ValueError('no such width: 7')").error
    assert error.what.endswith("ended with exit code 1: ValueError: no such width: 7")
    assert "Traceback" in error.evidence


def test_a_script_that_refuses_its_arguments_is_quoted_with_how_to_give_them(tmp_path: Path) -> None:
    result = run(tmp_path, ARGUMENTS)
    assert result.status == "error"
    assert "the following arguments are required: --count" in result.error.evidence
    assert "--script-args" in result.error.remedy
    plain = run(tmp_path, "import sys; print('no data here'); sys.exit(2 + 1)")
    assert "no data here" in plain.error.evidence
    assert plain.error.remedy == "mend the script"
