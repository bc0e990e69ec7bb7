"""Isolated inputs: whatever one does, the others are done, nothing is left over, and the status says what happened.

Everything holds for workers of fresh interpreters and for those that are forked from a template.
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from launch_calls import call_in_process, launched, numbers_in, wait_until

from turnkey.launch import Options, Result, evaluate, exit_code
from turnkey.model.inputs import expand_inputs
from turnkey.pipeline.events import Event
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state_file import load_state

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]

KINDS = {"fresh": {"fresh": True}, "prewarmed": {"prewarm": 1}}
"""Options that decide where workers come from."""

kind: dict[str, object] = {}
"""The present one."""


@pytest.fixture(params=KINDS, autouse=True)
def kind_of_workers(request: pytest.FixtureRequest) -> None:
    kind.clear()
    kind.update(KINDS[request.param])


def isolated(
    paths: list[Path | str], cache: Path, *, steps: list[Any] | None = None, **options: object
) -> list[Result]:
    return launched(paths, cache, steps or ["obey", "store"], process_isolation=True, **{**kind, **options})


def log_of(result: Result, tool: str = "obey") -> str:
    assert result.build_dir is not None
    return (result.build_dir / f"log_{tool}.txt").read_text()


DEATHS = {
    "exception": ("raise ValueError('mine')", "error", "mine"),
    "exit": ("import os; os._exit(3)", "killed", "exit code 3"),
    "exit-0": ("import os; os._exit(0)", "killed", "exit code 0"),
    "sys-exit": ("import sys; sys.exit(4)", "error", "4"),
    "segfault": ("import ctypes; ctypes.string_at(0)", "killed", "SIGSEGV"),
    "kill": ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "killed", "SIGKILL"),
    "kill-group": (
        "import os, signal; os.killpg(os.getpgrp(), signal.SIGKILL)",
        "killed",
        "obey was at work: signal 9",
    ),
    "terminate": ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "killed", "SIGTERM"),
}


@pytest.mark.parametrize("death", DEATHS)
def test_a_death_is_one_input_s_own_and_says_how(death: str, script: Writer, cache: Path) -> None:
    text, status, evidence = DEATHS[death]
    bad, good = script(text, "bad.py"), script("print('fine')", "good.py")

    results = isolated([bad, good], cache)

    assert [result.status for result in results] == [status, "successful"]
    assert evidence in str(results[0].error)
    assert exit_code(results) == 1
    assert results[0].failure is not None
    assert results[0].failure.tool == "obey"
    state = load_state(cache, "bad")
    assert state.build_status == status
    assert state.statistics["tool_status:obey"] == status
    assert evidence in state.statistics["error_log"]
    assert state.sequence[0][2] == status
    assert state.sequence[1][2] == "not_started"


def test_a_segfault_leaves_the_stack_in_the_log(script: Writer, cache: Path) -> None:
    (result,) = isolated([script("import ctypes\nctypes.string_at(0)")], cache)

    assert "Segmentation fault" in log_of(result)
    assert "model.py" in log_of(result)


def test_a_hang_ends_at_the_timeout_with_the_stacks_of_all_threads(script: Writer, cache: Path) -> None:
    hang = script(
        """
        import signal, threading, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        def waits_elsewhere():
            time.sleep(600)
        threading.Thread(target=waits_elsewhere, daemon=True).start()
        time.sleep(600)
        """,
        "hang.py",
    )
    results = isolated([hang, script()], cache, timeout=1.5)

    assert [result.status for result in results] == ["timeout", "successful"]
    assert "waits_elsewhere" in log_of(results[0])
    assert "obey" in results[0].reason
    assert load_state(cache, "hang").build_status == "timeout"


def test_what_the_worker_started_is_gone_afterwards(script: Writer, cache: Path, tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    text = f"""
        import subprocess, sys
        for new_session in (False, True):
            child = subprocess.Popen(
                [sys.executable, "-c", "import time; time.sleep(600)"], start_new_session=new_session
            )
            with open({str(marker)!r}, "a") as file:
                file.write(f"{{child.pid}}\\n")
        """
    (result,) = isolated([script(text)], cache)

    assert result.status == "successful"
    pids = [int(line) for line in marker.read_text().split()]
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


TEMPORARY = """
    import os, tempfile, sys
    place = tempfile.gettempdir()
    open(os.path.join(place, "left"), "w").write("mine")
    os.makedirs(os.path.join(place, "locked", "inside"))
    os.chmod(os.path.join(place, "locked"), 0o500)
    with open({marker!r}, "a") as file:
        file.write(f"{{place}} {{os.environ['TMPDIR']}} {{len(os.listdir(place))}} {{oct(os.stat(place).st_mode)}}\\n")
    {end}
    """


def test_each_input_has_temporary_files_of_its_own_which_do_not_outlive_it(
    script: Writer, cache: Path, tmp_path: Path
) -> None:
    marker = tmp_path / "places"
    ends = ["", "os.kill(os.getpid(), 9)", "__import__('psutil').Process(os.getppid()).kill()", "raise ValueError()"]
    paths = [script(TEMPORARY.format(marker=str(marker), end=end), f"{i}.py") for i, end in enumerate(ends)]

    results = isolated(paths, cache)

    assert [result.status for result in results] == ["successful", "killed", "killed", "error"]
    lines = [line.split() for line in marker.read_text().splitlines()]
    assert all(line == [line[0], line[0], "2", "0o40700"] for line in lines), lines
    places = [Path(line[0]) for line in lines]
    assert len(set(places)) == len(paths)
    assert not any(place.exists() for place in places)


def test_a_memory_hog_is_killed_at_its_limit_also_without_a_control_group(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnkey.launch.isolation.MemoryGroup.made", lambda name, limit_bytes: None)
    hog = script("import time\nhoard = bytearray(400 << 20)\ntime.sleep(60)", "hog.py")

    results = isolated([hog, script()], cache, memory_limit=200 << 20)

    assert [result.status for result in results] == ["killed", "successful"]
    assert "memory limit" in results[0].reason
    assert "limit 200 MiB" in str(results[0].error)


def test_garbage_on_any_descriptor_is_harmless(script: Writer, cache: Path) -> None:
    text = """
        import os
        for descriptor in range(1, 20):
            try:
                os.write(descriptor, b'{"result": 1}\\nnonsense\\xff\\n{"event": {"kind": 1, "x": 2}}\\n[1]\\nhalf')
            except OSError:
                pass
        """
    (result,) = isolated([script(text)], cache)

    assert result.status == "successful"
    assert result.build_dir is not None
    assert b"nonsense" in (result.build_dir / "log_obey.txt").read_bytes()


def test_a_system_that_starts_no_process_fails_the_input_with_its_reason(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(cache / "no python"))
    before = len(os.listdir("/proc/self/fd"))

    results = isolated([script("", "a.py"), script("", "b.py")], cache)

    assert [result.status for result in results] == ["error", "error"]
    assert "no process can be started" in results[0].reason
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_call_that_has_no_descriptors_left_fails_the_input_and_goes_on(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempts: list[int] = []

    def full_once() -> tuple[int, int]:
        attempts.append(1)
        if len(attempts) == 1:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return os.pipe()

    stand_in = SimpleNamespace(**{**vars(os), "pipe": full_once})
    monkeypatch.setattr("turnkey.launch.isolated_process.os", stand_in)

    results = isolated([script("", "a.py"), script("", "b.py")], cache)

    assert [result.status for result in results] == ["error", "successful"]
    assert "no process can be started" in results[0].reason
    assert "Too many open files" in str(results[0].error)


def test_events_of_a_worker_arrive_as_in_this_process(script: Writer, cache: Path) -> None:
    path = script("listing = 'one model'", "a b 'c\nd.py")
    told: dict[bool, list[tuple[str, str, str]]] = {}
    for isolation in (False, True):
        events: list[Event] = []
        evaluate(
            expand_inputs([str(path)]).inputs,
            Sequence(["obey", "pass-over", "store", "pass-over"]),
            Options(cache_dir=cache, process_isolation=isolation, **kind),  # type: ignore[arg-type]
            events.append,
        )
        told[isolation] = [(event.kind, event.tool, event.status or event.text) for event in events]

    assert told[True] == told[False]
    assert [kind for kind, _, _ in told[True]].count("tool-finished") == 4
    assert ("listing", "", "one model") in told[True]
    assert ("tool-finished", "pass-over-2", "skipped") in told[True]


def test_arguments_reach_a_worker_unharmed(script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = script("import os\nstatistics = {'got': arguments['script_args'], 'where': os.getcwd()}", "ü 'x\ny\".py")
    monkeypatch.chdir(path.parent)
    text = "--name 'a b' \"c\" $HOME \\ ü\n--end"
    (result,) = isolated([path.name], cache, steps=[("obey", {"script_args": text})])

    assert result.state is not None
    assert result.state.statistics["got"] == text
    assert result.state.statistics["where"] == str(path.parent)


def parent_program(paths: list[Path], cache: Path) -> subprocess.Popen[str]:
    """A call with isolated inputs in a process of its own, to be killed or interrupted."""
    return call_in_process(paths, cache, ["obey", "store"], process_isolation=True, timeout=300, **kind)


STUBBORN = """
    import os, signal, subprocess, sys, time
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    command = [sys.executable, "-c", "import time; time.sleep(600)"]
    child, stray = subprocess.Popen(command), subprocess.Popen(command, start_new_session=True)
    with open({pids!r}, "w") as file:
        file.write(f"{{os.getppid()}} {{os.getpid()}} {{child.pid}} {{stray.pid}}\\n")
    time.sleep(600)
    """


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_a_worker_without_call_and_warden_dies_too(script: Writer, cache: Path, tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    call = parent_program([script(STUBBORN.format(pids=str(marker)))], cache)
    warden, worker, *grandchildren = numbers_in(marker)

    os.kill(call.pid, signal.SIGSTOP)  # so that it cannot clean up
    os.kill(warden, signal.SIGKILL)

    wait_until(lambda: is_gone(worker))
    os.kill(call.pid, signal.SIGKILL)
    for grandchild in grandchildren:
        os.kill(grandchild, signal.SIGKILL)
    call.communicate()


@pytest.mark.parametrize("victim", ["call", "warden", "worker"])
def test_a_killed_process_leaves_nothing_running(victim: str, script: Writer, cache: Path, tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    path = script(STUBBORN.format(pids=str(marker)))
    call = parent_program([path], cache)
    pids = numbers_in(marker)

    os.kill({"call": call.pid, "warden": pids[0], "worker": pids[1]}[victim], signal.SIGKILL)

    wait_until(lambda: all(is_gone(pid) for pid in pids[:3]))
    if victim == "warden":  # what left the session of a killed warden is out of everybody's sight
        os.kill(pids[3], signal.SIGKILL)
    wait_until(lambda: is_gone(pids[3]))
    call.communicate(timeout=30)
    assert load_state(cache, "model").build_status == "killed"


def test_ctrl_c_ends_the_worker_and_the_build_says_so(script: Writer, cache: Path, tmp_path: Path) -> None:
    marker = tmp_path / "pids"
    first, second = script(STUBBORN.format(pids=str(marker)), "first.py"), script("", "second.py")
    call = parent_program([first, second], cache)
    pids = numbers_in(marker)

    os.kill(call.pid, signal.SIGINT)
    output, _ = call.communicate(timeout=30)

    assert call.returncode == 130
    assert output.split() == ["killed", "not_started"]
    assert all(is_gone(pid) for pid in pids)
    state = load_state(cache, "first")
    assert state.build_status == "killed"
    assert "interrupted" in state.statistics["reason"]


PROBE = """
    import multiprocessing, os, signal, sys, threading
    import sibling

    print(sys.argv, __name__, __file__, os.getcwd(), sys.path[0], sibling.__file__)
    print(sys.modules["__main__"].__dict__ is globals(), sys.flags.safe_path, repr(sys.stdin.read()))
    print(signal.getsignal(signal.SIGINT) is signal.default_int_handler, signal.getsignal(signal.SIGTERM))
    print(threading.active_count(), multiprocessing.parent_process(), os.environ.get("COLOUR"))
    print(sorted(name for name in ("torch", "numpy", "onnx", "psutil") if name in sys.modules))
    """


def test_a_script_in_a_worker_finds_what_plain_python_gives_it(
    script: Writer, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = script(PROBE, "folder/probe.py")
    script("", "folder/sibling.py")
    script("raise ImportError('not this one')", "json.py")  # beside the caller, not beside the script
    monkeypatch.chdir(path.parent.parent)
    monkeypatch.setenv("COLOUR", "grün 'x'")
    plain = subprocess.run(
        [sys.executable, "folder/probe.py", "--n", "a b"], stdin=subprocess.DEVNULL, capture_output=True, check=True
    ).stdout.decode()

    for isolation in (False, True):
        (result,) = launched(
            ["folder/probe.py"],
            cache,
            [("discover", {"script_args": "--n 'a b'"})],
            process_isolation=isolation,
            **kind,
        )
        log = log_of(result, "discover")
        assert result.status == "skipped", log
        seen, expected = log.splitlines()[1:6], plain.splitlines()
        assert seen[: 5 if isolation else 3] == expected[: 5 if isolation else 3]


@pytest.mark.slow
def test_a_worker_may_use_many_threads_and_processes(script: Writer, cache: Path) -> None:
    text = """
        import multiprocessing, torch
        torch.set_num_threads(4)
        torch.randn(300, 300) @ torch.randn(300, 300)
        model = torch.nn.Linear(4, 2)
        model(torch.ones(1, 4))
        with multiprocessing.get_context("fork").Pool(2) as pool:
            print(pool.map(abs, [-1, -2]))
        """
    (result,) = isolated([script(text)], cache, steps=["discover"], timeout=120)

    assert result.status == "successful", result.error
    assert "[1, 2]" in log_of(result, "discover")
