"""What the parent accepts from a worker process: an impostor that speaks the protocol and lies."""

from __future__ import annotations

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
    answers = {{"arrive": b'{{"ok": null}}', "slice": {slice!r}, "load": {load!r}, "warm": {warm!r}}}
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
        warm_reply: bytes = b"",
        pause: float = 0.0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> ProcessWorker:
        program = tmp_path / "impostor"
        source = _IMPOSTOR.format(
            python=sys.executable, slice=slice_reply, load=load_reply, warm=warm_reply, pause=pause
        )
        program.write_text(source)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        description = TargetDescription(key="x", factory="a:b", interpreter=str(program))
        start_worker = ProcessWorkers(tmp_path / "logs", step_timeout_s=60, meanwhile=meanwhile)
        worker = start_worker(description, name="x", round_=1, threads=1, pad=7)
        worker.arrive()
        return worker

    return start


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1]}}', "4 positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [5, -5, 1]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1.5, 2, 3]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, true, 3]}}', "positive whole ones"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 2, 900000000000]}}', "within"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [NaN, 1, 1]}}', "NaN"),
        (b'{"ok": {"t0": 1, "settle": 1, "ns": [1, 1, 1], "more": 2}}', "unexpected keyword"),
        (b'{"ok": {"settle": 1, "ns": [1, 1, 1]}}', "t0"),
        (b'{"ok": 7}', "not a mapping"),
        (b"[1, 2]", "reply"),
        (b"{}", "reply"),
        (b"\xff\xfe", "reply"),
    ],
)
def test_a_reply_that_cannot_be_true_is_garbled_whatever_it_claims(
    impostor: Callable[..., ProcessWorker], reply: bytes, said: str
) -> None:
    worker = impostor(slice_reply=reply)
    with pytest.raises(WorkerLost) as caught:
        worker.slice(entries=3, inner=1)
    worker.kill()
    assert caught.value.cause == "garbled"
    assert said in caught.value.error.evidence


def test_an_honest_reply_is_taken(impostor: Callable[..., ProcessWorker]) -> None:
    worker = impostor(slice_reply=b'{"ok": {"t0": 1, "settle": 9, "ns": [1, 2, 3], "cpu": 5}}')
    assert worker.slice(entries=3, inner=1).ns == (1, 2, 3)
    worker.kill()


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


def test_a_warm_up_without_a_call_is_garbled(impostor: Callable[..., ProcessWorker]) -> None:
    worker = impostor(warm_reply=b'{"ok": {"ns": [], "n_warm": 0, "settled": true}}')
    with pytest.raises(WorkerLost) as caught:
        worker.warm(call_ns=1e6, n_warm=0)
    worker.kill()
    assert "0 durations" in caught.value.error.evidence


def test_a_load_report_with_other_fields_is_garbled(impostor: Callable[..., ProcessWorker]) -> None:
    worker = impostor()
    with pytest.raises(WorkerLost, match="no sense"):
        worker.load()
    worker.kill()


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
