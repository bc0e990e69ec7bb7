"""The gate from revisions to an answer: real builds, real processes, a real repository."""

from __future__ import annotations

import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from git_command import git
from onnx import TensorProto, helper

from turnkey.errors import UsageError
from turnkey.measure import Settings
from turnkey.report.gate.activations import planned_bytes
from turnkey.report.gate.check import GateInput, GateRequest, check
from turnkey.report.gate.judgement import Answer
from turnkey.report.gate.summary import json_of, markdown_of, text_of

from .conftest import chain

STEPS = (("load-onnx", {}),)


def request(repository: Path, *, base: str = "old", head: str = "new", **fields: object) -> GateRequest:
    item = GateInput(path=repository / "models" / "net.onnx", steps=STEPS)
    settings = Settings(threads=1, limit=0.05, min_rounds=2, max_rounds=2, passes=2)
    made = GateRequest(
        base=base, head=head, inputs=(item,), limit=0.05, settings=settings, directory=repository, timeout_s=120
    )
    return replace(made, **fields)  # type: ignore[arg-type]


@pytest.mark.slow
def test_more_layers_are_a_regression_whatever_the_clock_says(repository: Path, tmp_path: Path) -> None:
    told: list[str] = []
    [found] = check(request(repository, records=tmp_path / "kept"), tell=told.append)
    assert found.answer is Answer.REGRESSION
    changes = {result.metric: (result.base, result.head, str(result.change)) for result in found.exact}
    assert changes["nodes"] == (4, 6, "larger")
    assert changes["flops"][2] == "larger"
    assert changes["size"][2] == "larger"
    assert changes["output"][2] == "different"
    assert changes["memory"][2] in ("equal", "larger")
    assert found.slowdown is not None
    assert found.slowdown.rounds == 2
    assert (tmp_path / "kept" / "gate-net.onnx.zip").is_file()
    assert git(repository, "worktree", "list").count("\n") == 0
    markdown = markdown_of([found], limit=0.05)
    assert "❌ Turnkey gate: REGRESSION" in markdown
    assert "| nodes | 4 | 6 | larger |" in markdown
    assert "nodes 4 → 6" in text_of([found], limit=0.05)
    assert json_of([found], limit=0.05)["inputs"][0]["slowdown"]["rounds"] == 2


@pytest.mark.slow
def test_the_same_revision_twice_has_equal_figures(repository: Path) -> None:
    [found] = check(request(repository, base="new", head="."), tell=lambda text: None)
    assert {str(result.change) for result in found.exact} == {"equal"}
    assert found.head == "the working tree"
    assert found.slowdown is not None


@pytest.mark.slow
def test_what_cannot_be_built_is_invalid_with_the_tail_of_its_log(repository: Path) -> None:
    (repository / "models" / "net.onnx").write_bytes(b"no model")
    [found] = check(request(repository, base="new", head="."), tell=lambda text: None)
    assert found.answer is Answer.INVALID
    assert found.error is not None
    assert "could not be built" in found.error.what
    assert "load-onnx" in found.error.what
    assert found.error.evidence


def test_told_to_end_it_takes_its_worktrees_and_builds_with_it(repository: Path, tmp_path: Path) -> None:
    """The gate runs while a build sleeps in a process that left its group."""
    script = "import subprocess, sys, time\nsubprocess.Popen([sys.executable, '-c', WAITS], start_new_session=True)\n"
    waits = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    (repository / "models" / "net.py").write_text(f"WAITS = {waits!r}\n{script}time.sleep(300)\n")
    git(repository, "add", "models")
    git(repository, "commit", "--quiet", "-m", "sleeps")
    command = [sys.executable, "-m", "turnkey.cli.main", "gate", "-i", "models/net.py", "--base", "HEAD"]
    with subprocess.Popen(command, cwd=repository, stderr=subprocess.PIPE, text=True) as process:
        until = time.monotonic() + 60
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text():
            assert time.monotonic() < until
            assert process.poll() is None
            time.sleep(0.1)
        process.terminate()
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "told to end" in said
    assert git(repository, "worktree", "list").count("\n") == 0
    with suppress(psutil.NoSuchProcess):
        psutil.Process(int((tmp_path / "pid").read_text())).wait(30)


def test_an_input_that_a_revision_lacks_is_a_usage_error(repository: Path) -> None:
    path = repository / "models" / "later.onnx"
    path.write_bytes(chain(2))
    with pytest.raises(UsageError, match="old"):
        check(request(repository, inputs=(GateInput(path=path, steps=STEPS),)), tell=lambda text: None)


def test_the_memory_plan_counts_tensors_while_they_live(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(chain(4))
    # Two tensors of 16 × 64 floats live at a time: what a node reads and what it writes.
    assert planned_bytes(path, shapes={"x": (16, 64)}) == 2 * 16 * 64 * 4
    assert planned_bytes(path, shapes={"x": (32, 64)}) in (2 * 32 * 64 * 4, 2 * 16 * 64 * 4)


def test_a_graph_with_branches_has_no_memory_plan(tmp_path: Path) -> None:
    value = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    branch = helper.make_graph([helper.make_node("Constant", [], ["y"], value_floats=[1.0])], "branch", [], [value])
    node = helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch)
    inputs = [helper.make_tensor_value_info("c", TensorProto.BOOL, [])]
    outputs = [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1])]
    model = helper.make_model(
        helper.make_graph([node], "branches", inputs, outputs),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    (tmp_path / "if.onnx").write_bytes(model.SerializeToString())
    assert planned_bytes(tmp_path / "if.onnx", shapes={}) is None
