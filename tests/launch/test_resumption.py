"""``--resume``: what an equal work item finished is left out, what was interrupted goes on, what failed runs again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import turnkey
from turnkey.launch import Result
from turnkey.pipeline.source_file import digests
from turnkey.pipeline.state_file import load_state, write_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


def evaluate(path: Path, cache: Path, steps: list[Any], **options: Any) -> Result:
    (result,) = turnkey.evaluate_files(path, steps, cache, **options)
    return result


def runs(count: Path) -> int:
    return len(count.read_text().split()) if count.exists() else 0


def test_what_finished_is_skipped_and_untouched(script: Writer, cache: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    steps = ["obey", ("store", {"count": str(count)})]
    path = script()
    evaluate(path, cache, steps)
    before = {file: file.stat().st_mtime_ns for file in (cache / "model").rglob("*") if file.is_file()}

    result = evaluate(path, cache, steps, resume=True)

    assert result.status == "skipped"
    assert "finished before" in result.reason
    assert result.state is not None
    assert result.state.build_status == "successful"
    assert runs(count) == 1
    after = {file: file.stat().st_mtime_ns for file in (cache / "model").rglob("*") if file.is_file()}
    assert after == before


def test_without_resume_everything_runs_again(script: Writer, cache: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    steps = ["obey", ("store", {"count": str(count)})]
    for _ in range(2):
        assert evaluate(script(), cache, steps).status == "successful"
    assert runs(count) == 2


def test_what_failed_runs_again(script: Writer, cache: Path, tmp_path: Path) -> None:
    count, unless = tmp_path / "count", tmp_path / "unless"
    steps = ["obey", ("store", {"count": str(count)}), ("fail", {"unless": str(unless)})]
    assert evaluate(script(), cache, steps).status == "error"
    unless.touch()

    assert evaluate(script(), cache, steps, resume=True).status == "successful"
    assert runs(count) == 2


def test_what_was_interrupted_goes_on_after_its_last_finished_tool(
    script: Writer, cache: Path, tmp_path: Path
) -> None:
    first, second, once = tmp_path / "first", tmp_path / "second", tmp_path / "once"
    die = f"""
import os, pathlib
if not pathlib.Path({str(once)!r}).exists():
    pathlib.Path({str(once)!r}).touch()
    os._exit(9)
"""
    steps = [
        "obey",
        ("store", {"count": str(first), "text": "one"}),
        ("store", {"count": str(second), "script": die, "text": "two", "opset": 21}),
        "pass-over",
    ]
    path = script("statistics = {'found': 1}")
    assert evaluate(path, cache, steps, process_isolation=True).status == "killed"

    result = evaluate(path, cache, steps, process_isolation=True, resume=True)

    assert result.status == "successful"
    assert runs(first) == 1
    assert runs(second) == 2
    assert result.state is not None
    assert [status for _, _, status in result.state.sequence] == ["successful"] * 3 + ["skipped"]
    assert [variant.key for variant in result.state.variants] == ["stored", "stored-1"]
    assert result.state.statistics["found"] == 1
    assert "error_log" not in result.state.statistics
    assert "reason" not in result.state.statistics
    assert len(result.state.history) == 1


@pytest.mark.parametrize("change", ["input", "arguments", "sequence", "seed", "import", "versions"])
def test_a_changed_work_item_starts_anew(change: str, script: Writer, cache: Path, tmp_path: Path) -> None:
    count = tmp_path / "count"
    path, helper = script("x = 1"), script("y = 1", "helper.py")
    steps: list[Any] = ["obey", ("store", {"count": str(count)})]
    evaluate(path, cache, steps)
    state = load_state(cache, "model")
    write_state(replace(state, input={**state.input, "imported": digests([helper])}))
    assert evaluate(path, cache, steps, resume=True).status == "skipped"

    options: dict[str, Any] = {"resume": True}
    if change == "input":
        path.write_text("x = 2")
    elif change == "import":
        helper.write_text("y = 2")
    elif change == "arguments":
        steps[1][1]["opset"] = 17
    elif change == "sequence":
        steps.append("pass-over")
    elif change == "versions":
        state = load_state(cache, "model")
        earlier = {**state.environment["versions"], "torch": "1.0"}
        write_state(replace(state, environment={**state.environment, "versions": earlier}))
    else:
        options["seed"] = 1

    assert evaluate(path, cache, steps, **options).status == "successful"
    assert runs(count) == 2


def test_changed_external_data_of_an_onnx_file_is_another_input(cache: Path, tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4])],
        [weight],
    )
    path = tmp_path / "m.onnx"
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.save(model, path, save_as_external_data=True, location="m.onnx.data", size_threshold=0)
    assert evaluate(path, cache, ["load-onnx"]).status == "successful"
    assert evaluate(path, cache, ["load-onnx"], resume=True).status == "skipped"

    (tmp_path / "m.onnx.data").write_bytes(np.full((4, 4), 2, np.float32).tobytes())

    assert evaluate(path, cache, ["load-onnx"], resume=True).status == "successful"


def test_a_run_whose_stored_files_are_gone_starts_anew(script: Writer, cache: Path, tmp_path: Path) -> None:
    first, once = tmp_path / "first", tmp_path / "once"
    die = f"import os, pathlib\nif not pathlib.Path({str(once)!r}).exists():\n    os._exit(9)"
    steps = ["obey", ("store", {"count": str(first)}), ("store", {"script": die})]
    assert evaluate(script(), cache, steps, process_isolation=True, lean_cache=True).status == "killed"
    once.touch()

    assert evaluate(script(), cache, steps, resume=True).status == "successful"
    assert runs(first) == 2


@pytest.mark.parametrize("tools_done", [0, 1])
def test_what_starts_anew_says_of_which_build_and_that_nothing_was_stored(
    tools_done: int, script: Writer, cache: Path
) -> None:
    die = "import os\nos._exit(9)"
    path = script("" if tools_done else die)
    steps: list[Any] = ["obey", ("store", {"script": die})] if tools_done else ["obey", "store"]
    assert evaluate(path, cache, steps, process_isolation=True).status == "killed"
    notes: list[str] = []

    options = {"process_isolation": True, "resume": True, "listen": lambda event: notes.append(event.text)}
    assert evaluate(path, cache, steps, **options).status == "killed"

    at_work = "store" if tools_done else "obey"
    assert f"model: starting anew: the earlier run ended in {at_work}, before any file of a model was stored" in notes


def test_a_broken_state_file_starts_anew(script: Writer, cache: Path) -> None:
    evaluate(script(), cache, ["obey", "store"])
    (cache / "model" / "model_state.yaml").write_text("!!python/object:os.system")

    assert evaluate(script(), cache, ["obey", "store"], resume=True).status == "successful"


@pytest.mark.slow
def test_kill_9_at_random_times_gives_the_same_result_in_the_end(script: Writer, cache: Path, tmp_path: Path) -> None:
    counts = [tmp_path / f"count-{index}" for index in range(4)]
    steps = ["obey", *(("store", {"count": str(count), "opset": 15 + i}) for i, count in enumerate(counts))]
    paths = [script(f"statistics = {{'n': {index}}}", f"m{index}.py") for index in range(3)]
    program = textwrap.dedent(f"""
        import turnkey
        turnkey.evaluate_files(
            {[str(path) for path in paths]!r}, {steps!r}, {str(cache)!r}, process_isolation=True, resume=True
        )
        """)
    generator = random.Random(3)
    for _ in range(8):
        call = subprocess.Popen([sys.executable, "-c", program])
        time.sleep(generator.uniform(0.2, 1.5))
        os.kill(call.pid, signal.SIGKILL)
        call.wait()
    results = turnkey.evaluate_files(paths, steps, cache, process_isolation=True, resume=True)

    for index, result in enumerate(results):
        assert result.state is not None
        assert result.state.build_status == "successful"
        assert result.state.statistics["n"] == index
        assert [variant.key for variant in result.state.variants] == ["stored", "stored-1", "stored-2", "stored-3"]
        assert [status for _, _, status in result.state.sequence] == ["successful"] * 5
