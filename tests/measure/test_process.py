"""What the parent accepts from a worker process: an impostor that speaks the protocol and lies."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from turnkey.measure import TargetDescription
from turnkey.measure.crew import WorkerLost
from turnkey.measure.process import ProcessWorker, ProcessWorkers

_IMPOSTOR = """#!{python}
import json, os, sys, time
commands, replies = os.fdopen(int(sys.argv[-3]), "rb"), os.fdopen(int(sys.argv[-2]), "wb")
json.loads(commands.readline())
replies.write(b'{{"ok": {{"pid": 1}}}}\\n'); replies.flush()
for line in commands:
    do = json.loads(line)["do"]
    time.sleep({pause})
    answers = {{"arrive": b'{{"ok": null}}', "slice": {slice!r}, "load": {load!r}}}
    replies.write(answers.get(do, b'{{"ok": 1}}') + b"\\n")
    replies.flush()
"""
_LOAD = b'{"ok": {}}'


@pytest.fixture
def impostor(tmp_path: Path) -> Callable[..., ProcessWorker]:
    """A worker whose interpreter is a program of ours."""

    def start(
        *,
        slice_reply: bytes = b"",
        load_reply: bytes = _LOAD,
        pause: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> ProcessWorker:
        program = tmp_path / "impostor"
        source = _IMPOSTOR.format(python=sys.executable, slice=slice_reply, load=load_reply, pause=pause)
        program.write_text(source)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        description = TargetDescription(key="x", factory="a:b", interpreter=str(program))
        start_worker = ProcessWorkers(tmp_path / "logs", step_timeout_s=60, meanwhile=meanwhile)
        worker = start_worker(description, name="x", round_=1, threads=1, pad=7)
        worker.arrive()
        return worker

    return start


def test_a_reply_is_taken_however_long_it_is_and_one_that_lies_loses_the_worker(
    impostor: Callable[..., ProcessWorker],
) -> None:
    many = 100_000  # several times what a pipe holds
    worker = impostor(slice_reply=json.dumps({"ok": {"t0": 1, "settle": 9, "ns": [1] * many}}).encode(), pause=0.01)
    assert worker.slice(entries=many, inner=1).ns == (1,) * many
    with pytest.raises(WorkerLost) as caught:
        worker.slice(entries=3, inner=1)
    worker.kill()
    assert caught.value.cause == "garbled"


def test_who_waits_is_told_while_a_worker_loads_and_left_alone_while_calls_are_timed(
    impostor: Callable[..., ProcessWorker], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("turnkey.measure.process.TELL_S", 0.02)
    told: list[str] = []
    loaded = b'{"ok": {"import_ns": 1, "load_ns": 1, "compile_ns": null, "first_ns": 1, "call_ns": 1.0, "samples": 1, '
    worker = impostor(
        load_reply=loaded + b'"wrong": null, "notes": []}}',
        slice_reply=b'{"ok": {"t0": 1, "settle": 9, "ns": [1, 2, 3]}}',
        pause=0.3,
        meanwhile=lambda: told.append("still"),
    )
    told.clear()
    worker.load()
    assert told
    told.clear()
    worker.slice(entries=3, inner=1)
    worker.kill()
    assert not told


def test_an_interpreter_that_is_not_there_is_an_error_that_no_retry_can_mend(tmp_path: Path) -> None:
    description = TargetDescription(key="x", factory="a:b", interpreter=str(tmp_path / "absent"))
    open_before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(WorkerLost) as caught:
        ProcessWorkers(tmp_path, step_timeout_s=5)(description, name="x", round_=1, threads=1, pad=0)
    assert caught.value.final
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_a_killed_worker_leaves_no_descriptor_and_may_be_killed_again(
    impostor: Callable[..., ProcessWorker],
) -> None:
    open_before = len(os.listdir("/proc/self/fd"))
    worker = impostor()
    worker.sleep()
    worker.kill()
    worker.kill()
    worker.wake()
    assert len(os.listdir("/proc/self/fd")) == open_before


def test_threads_pad_and_the_targets_own_variables_are_in_the_workers_environment(tmp_path: Path) -> None:
    description = TargetDescription(
        key="x",
        factory="turnkey.measure.numpy_target:load_numpy",
        environment={"FOO": "bar"},
    )
    worker = ProcessWorkers(tmp_path, step_timeout_s=60)(description, name="x", round_=1, threads=3, pad=7)
    worker.arrive()
    pairs = Path(f"/proc/{worker.pid}/environ").read_bytes().split(b"\0")
    worker.kill()
    assert {b"OMP_NUM_THREADS=3", b"MKL_NUM_THREADS=3", b"FOO=bar", b"TURNKEY_PAD=xxxxxxx"} <= set(pairs)
