"""Many inputs in one call: each has its own result, and the failures of one are nobody else's."""

from __future__ import annotations

import errno
import gc
import json
import os
import resource
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import turnkey
from turnkey.errors import UsageError
from turnkey.launch import Interrupted, Result, exit_code
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.events import Event
from turnkey.pipeline.state_file import load_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


def evaluate(paths: list[Path], cache: Path, steps: list[Any] | None = None, **options: Any) -> list[Result]:
    return turnkey.evaluate_files(paths, steps or ["obey", "store"], cache, **options)


def test_one_failing_input_does_not_stop_the_others(script: Writer, cache: Path) -> None:
    paths = [
        script("raise ValueError('mine')", "raises.py"),
        script("import sys; sys.exit(0)", "exits.py"),
        script("print('fine')", "good.py"),
    ]
    results = evaluate(paths, cache)

    assert [result.status for result in results] == ["error", "error", "successful"]
    assert exit_code(results) == 1
    assert exit_code(results[2:]) == 0
    assert "mine" in str(results[0].error)
    assert results[0].failure is not None
    assert "raises.py" in results[0].failure.user_traceback
    assert "turnkey/pipeline" not in results[0].failure.user_traceback
    assert "turnkey/pipeline" in results[0].failure.full_traceback


def test_fail_fast_stops_at_the_first_failure(script: Writer, cache: Path) -> None:
    results = evaluate([script("1 / 0", "bad.py"), script("", "good.py")], cache, fail_fast=True)

    assert [result.status for result in results] == ["error", "not_started"]
    assert exit_code(results) == 1
    assert exit_code(results[1:]) == 1, "what was not begun is not done"


def test_same_stem_author_and_hash_keep_builds_apart(script: Writer, cache: Path) -> None:
    first = script("#labels author::google task::a,b\n", "a/m.py")
    second = script("#labels author::google\n", "b/m.py")

    results = evaluate([first, second, Path(f"{first}::12345678")], cache)

    names = [result.build_name for result in results]
    assert names[0] == "m_google"
    assert names[1].startswith("m_google-")
    assert names[2] == "m_google_12345678"
    assert results[0].state is not None
    assert results[0].state.statistics["labels"] == {"author": ["google"], "task": ["a", "b"]}
    assert results[0].state.statistics["author"] == "google"


@pytest.mark.parametrize(("code", "expected"), [(0, 1), (3, 3)])
def test_a_script_that_ends_the_call_does_not_do_it_in_silence(
    code: int, expected: int, script: Writer, cache: Path
) -> None:
    path = script(f"import os\nif os.fork() == 0:\n    os._exit(0)\nos.wait()\nos._exit({code})", "ends.py")
    program = f"import turnkey; turnkey.evaluate_files({[str(path), str(script())]!r}, ['obey'], {str(cache)!r})"

    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert finished.returncode == expected
    assert finished.stderr.count("ended the whole call") == 1
    assert "--process-isolation" in finished.stderr
    assert load_state(cache, "ends").build_status == "killed"
    real = os._exit
    assert evaluate([path], cache, ["obey"], process_isolation=True)[0].status == "killed"
    assert os._exit is real


def test_labels_select_inputs(script: Writer, cache: Path) -> None:
    paths = [script("#labels task::a", "a.py"), script("#labels task::b", "b.py")]

    (result,) = evaluate(paths, cache, labels="task::b")
    assert result.build_name == "b"
    with pytest.raises(UsageError, match="no input has"):
        evaluate(paths, cache, labels=["task::c"])


def test_the_folder_of_the_call_says_what_was_asked_and_done(script: Writer, cache: Path) -> None:
    evaluate([script("1 / 0", "bad.py"), script("", "good.py")], cache)

    (folder,) = (entry for entry in (cache / ".calls").iterdir() if entry.is_dir())
    call = json.loads((folder / "call.json").read_text())
    assert [Path(name).name for name in call["inputs"]] == ["bad.py", "good.py"]
    assert call["sequence"][1][0] == "store"
    item = json.loads((folder / "items" / "2.json").read_text())
    assert item["build_name"] == "good"
    bad = json.loads((folder / "results" / "1.json").read_text())
    assert bad["status"] == "error"
    assert "ZeroDivisionError" in bad["failure"]["full_traceback"]


def test_lean_cache_removes_artifacts_in_process_and_isolated(script: Writer, cache: Path) -> None:
    for isolation in (False, True):
        (result,) = evaluate([script()], cache, lean_cache=True, process_isolation=isolation)
        assert result.status == "successful"
        assert result.build_dir is not None
        assert not (result.build_dir / "onnx").exists()
        assert (result.build_dir / "log_store.txt").exists()


def test_lean_cache_also_after_a_timeout(script: Writer, cache: Path) -> None:
    (result,) = evaluate(
        [script()],
        cache,
        ["obey", "store", ("store", {"script": "import time; time.sleep(60)"})],
        lean_cache=True,
        process_isolation=True,
        timeout=2.5,
    )
    assert result.status == "timeout"
    assert result.build_dir is not None
    assert not (result.build_dir / "onnx").exists()


@pytest.mark.parametrize("options", [{"timeout": 5}, {"memory_limit": "1GiB"}])
def test_limits_without_isolation_are_a_usage_error(options: dict[str, Any], script: Writer, cache: Path) -> None:
    with pytest.raises(UsageError, match="processes of their own"):
        evaluate([script()], cache, **options)
    assert not cache.exists()


@pytest.mark.parametrize(
    ("name", "value"),
    [("jobs", 0), ("timeout", float("nan")), ("timeout", -1), ("memory_limit", 0), ("output_limit", 0)],
)
def test_a_number_that_would_limit_nothing_or_run_nothing_is_refused(
    name: str, value: float, script: Writer, cache: Path
) -> None:
    with pytest.raises(UsageError, match=f"--{name.replace('_', '-')} must be above 0"):
        evaluate([script()], cache, process_isolation=True, **{name: value})
    assert not cache.exists()


def test_usage_errors_come_before_anything_is_written(script: Writer, cache: Path) -> None:
    for call in (
        lambda: evaluate([Path("missing.py")], cache),
        lambda: evaluate([script()], cache, ["no-such-tool"]),
        lambda: evaluate([script()], cache, ["store"]),
        lambda: evaluate([script()], cache, ["load-onnx"]),
        lambda: evaluate([script()], cache, memory_limit="much", process_isolation=True),
        lambda: evaluate([script()], cache, use_slurm=True, process_isolation=True),
    ):
        with pytest.raises(UsageError):
            call()
    assert not cache.exists()


def test_an_unwritable_cache_fails_each_input_with_the_remedy(script: Writer, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    results = evaluate([script("", "a.py"), script("", "b.py")], tmp_path / "file" / "cache")

    assert [result.status for result in results] == ["error", "error"]
    assert all("-d DIR" in str(result.error) for result in results)


def test_a_disk_that_fills_up_at_any_write_is_an_error_of_that_input_only(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [script("", "a.py"), script("", "b.py")]
    real = os.fsync
    calls = allowed = 0

    def full_for_a(descriptor: int) -> None:
        nonlocal calls
        if os.readlink(f"/proc/self/fd/{descriptor}").startswith(str(cache / "a")):
            calls += 1
            if calls >= allowed:
                raise OSError(errno.ENOSPC, "No space left on device")
        real(descriptor)

    monkeypatch.setattr(os, "fsync", full_for_a)
    while allowed < 30:
        calls, allowed = 0, allowed + 1
        results = evaluate(paths, cache)
        assert results[1].status == "successful"
        if results[0].status == "successful":
            break
        assert "no space left" in str(results[0].error)
        assert results[0].status == "error"
        if BuildPaths(cache, "a").state.exists():
            load_state(cache, "a")
    assert results[0].status == "successful"
    assert allowed > 5


def test_a_file_size_limit_in_a_worker_is_an_error_with_its_reason(script: Writer, cache: Path) -> None:
    text = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))"

    results = evaluate([script(text, "a.py"), script("", "b.py")], cache, process_isolation=True)

    assert [result.status for result in results] == ["error", "successful"]
    assert "no space left" in str(results[0].error)
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 100


def test_a_disk_that_a_script_fills_is_told_in_three_parts(script: Writer, cache: Path) -> None:
    text = "import errno, os, sys\nraise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), '/somewhere/weights.bin')"

    results = evaluate([script(text, "a.py"), script("", "b.py")], cache)

    assert [result.status for result in results] == ["error", "successful"]
    assert "no space left" in results[0].reason
    assert "/somewhere/weights.bin" in str(results[0].error)
    assert results[0].failure is not None
    assert results[0].failure.is_known


def test_an_empty_directory_left_by_a_full_disk_is_claimed_by_the_next_call(script: Writer, cache: Path) -> None:
    (cache / "model").mkdir(parents=True)

    assert evaluate([script()], cache)[0].build_name == "model"


def test_output_is_echoed_to_standard_error_when_asked(
    script: Writer, cache: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    for isolation in (False, True):
        evaluate(
            [script("import os\nprint('hello')\nos.system('echo child')")],
            cache,
            ["obey"],
            verbose=True,
            process_isolation=isolation,
        )
        out, err = capfd.readouterr()
        assert out == ""
        assert "hello\nchild\n" in err


def test_ctrl_c_between_inputs_gives_every_input_a_status(script: Writer, cache: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.kind == "input-started" and event.input.endswith("second.py"):
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        evaluate([script("", f"{name}.py") for name in ("first", "second", "third")], cache, listen=interrupt)

    assert [result.status for result in caught.value.results] == ["successful", "killed", "not_started"]


def test_two_calls_on_one_cache_take_turns_per_build(script: Writer, cache: Path, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    text = f"""
        import time
        for word in ("in", "out"):
            with open({str(journal)!r}, "a") as file:
                file.write(word + "\\n")
            time.sleep(0.1)
        """
    path = script(text)
    program = (
        f"import turnkey; print(turnkey.evaluate_files({str(path)!r}, ['obey', 'store'], {str(cache)!r})[0].status)"
    )
    calls = [subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) for _ in range(3)]

    assert [call.communicate(timeout=60)[0] for call in calls] == [b"successful\n"] * 3
    assert journal.read_text().split() == ["in", "out"] * 3
    assert load_state(cache, "model").build_status == "successful"
    assert len(list((cache / "model" / "history").iterdir())) == 2


@pytest.fixture
def holder(script: Writer, cache: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that works on the build of model.py until its standard input is closed."""
    evaluate([script()], cache)
    program = textwrap.dedent(f"""
        import sys
        from pathlib import Path
        from turnkey.pipeline.build import BuildPaths
        from turnkey.pipeline.build_lock import hold
        with hold(BuildPaths(Path({str(cache)!r}), "model")):
            print("held", flush=True)
            sys.stdin.read()
        """)
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.communicate()


def test_waiting_for_another_process_is_said(holder: subprocess.Popen[str], script: Writer, cache: Path) -> None:
    notes: list[str] = []

    def listen(event: Event) -> None:
        notes.append(event.text)
        if "waiting" in event.text:
            assert holder.stdin is not None
            holder.stdin.close()
            holder.stdin = None

    (result,) = evaluate([script()], cache, listen=listen)

    assert result.status == "successful"
    assert any("waiting" in note for note in notes)


def test_a_timeout_while_waiting_leaves_the_build_to_its_holder(
    holder: subprocess.Popen[str], script: Writer, cache: Path
) -> None:
    before = (cache / "model" / "model_state.yaml").read_bytes()

    (result,) = evaluate([script()], cache, process_isolation=True, timeout=3)

    assert result.status == "timeout"
    assert (cache / "model" / "model_state.yaml").read_bytes() == before


def test_a_child_that_a_script_forked_does_not_free_the_lock(script: Writer, cache: Path) -> None:
    seen: list[bool] = []

    def try_lock(event: Event) -> None:
        if event.kind == "tool-started" and event.tool == "store":
            program = textwrap.dedent(f"""
                from pathlib import Path
                from turnkey.pipeline.build import BuildPaths
                from turnkey.pipeline.build_lock import is_held
                raise SystemExit(is_held(BuildPaths(Path({str(cache)!r}), "model")))
                """)
            seen.append(subprocess.run([sys.executable, "-c", program], check=False).returncode == 1)

    text = """
        import gc, os, sys
        child = os.fork()
        if child == 0:
            gc.collect()
            os._exit(0)
        os.waitpid(child, 0)
        import multiprocessing
        process = multiprocessing.get_context("fork").Process(target=gc.collect)
        process.start()
        process.join()
        """
    evaluate([script(text)], cache, listen=try_lock)

    assert seen == [True]


def test_memory_of_a_model_is_let_go_before_the_next_input(script: Writer, cache: Path) -> None:
    path = script("class Model:\n    module = None\nmodel = Model()")
    known = ("store", {"script": "from turnkey.errors import ModelError\nraise ModelError('known')"})
    results = []
    for status, second in (("successful", "store"), ("error", "fail"), ("error", known)):
        (result,) = evaluate([path], cache, ["obey", second])
        results.append(result)  # a caller keeps them all
        assert result.status == status
        assert result.state is not None
        assert result.state.model_hash
        assert result.state.model is None
        gc.collect()
        assert not [thing for thing in gc.get_objects() if type(thing).__name__ == "Model"]


def test_the_public_names_are_importable_without_heavy_packages() -> None:
    program = textwrap.dedent("""
        import sys, turnkey
        turnkey.evaluate_files, turnkey.Sequence, turnkey.State, turnkey.load_state
        heavy = {"torch", "numpy", "onnx", "onnxruntime", "rich", "psutil"} & set(sys.modules)
        raise SystemExit(", ".join(sorted(heavy)) or 0)
        """)
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (finished.returncode, finished.stderr) == (0, "")


def test_a_lock_is_free_again_after_a_call(script: Writer, cache: Path) -> None:
    evaluate([script("1 / 0")], cache)

    waited: list[bool] = []
    with hold(BuildPaths(cache, "model"), on_wait=lambda: waited.append(True)):
        pass
    assert waited == []


def test_ctrl_c_after_the_last_tool_does_not_undo_what_was_done(script: Writer, cache: Path) -> None:
    def interrupt(event: Event) -> None:
        if event.kind == "input-finished":
            raise KeyboardInterrupt

    for text, status in (("", "successful"), ("1 / 0", "error")):
        with pytest.raises(Interrupted) as caught:
            evaluate([script(text), script("", "next.py")], cache, listen=interrupt)
        assert [result.status for result in caught.value.results] == [status, "not_started"]


@pytest.mark.slow
def test_ctrl_c_at_any_moment_leaves_a_build_that_says_so_and_can_be_continued(
    script: Writer, cache: Path, tmp_path: Path
) -> None:
    steps = ["obey", "store", "pass-over", ("store", {"script": "import time; time.sleep(0.1)"})]
    path = script("import time; time.sleep(0.1)")
    program = textwrap.dedent(f"""
        import os, signal, sys, threading, time, turnkey
        import turnkey.launch.python_call, turnkey_test_tools
        result = None
        try:
            threading.Timer(float(sys.argv[1]), os.kill, (os.getpid(), signal.SIGINT)).start()
            (result,) = turnkey.evaluate_files({str(path)!r}, {steps!r}, {str(cache)!r})
            time.sleep(2)
        except turnkey.Interrupted as interruption:
            (result,) = interruption.results
        except KeyboardInterrupt:
            pass
        print("visible", result and result.status, flush=True)
        """)
    seen = set()
    for delay in range(10):
        finished = subprocess.run(
            [sys.executable, "-c", program, str(delay / 20)], capture_output=True, text=True, check=False
        )
        word, status = finished.stdout.split()
        assert word == "visible", finished.stderr
        seen.add(status)
        if (cache / "model" / "model_state.yaml").exists() and status not in ("None", "not_started"):
            assert load_state(cache, "model").build_status == status
    assert "killed" in seen
    (result,) = evaluate([path], cache, steps, resume=True)
    assert result.state is not None
    assert result.state.build_status == "successful"


def test_the_default_timeout_follows_its_variable(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNKEY_TIMEOUT_SECONDS", "1")
    (result,) = evaluate([script("import time; time.sleep(60)")], cache, process_isolation=True)
    assert result.status == "timeout"

    monkeypatch.setenv("TURNKEY_TIMEOUT_SECONDS", "soon")
    with pytest.raises(UsageError, match="TURNKEY_TIMEOUT_SECONDS"):
        evaluate([script()], cache, process_isolation=True)
    assert evaluate([script()], cache)[0].status == "successful"
