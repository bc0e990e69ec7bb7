"""Writes that fail or are killed: the file that was there stays, and whatever is there can be read."""

from __future__ import annotations

import errno
import os
import random
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from turnkey.errors import InputError
from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.statistics import read_statistics

pytestmark = pytest.mark.usefixtures("small_tools")

Writer = Callable[..., Path]


def failing(error_number: int) -> Callable[..., Any]:
    def fail(*_: Any, **__: Any) -> Any:
        raise OSError(error_number, os.strerror(error_number))

    return fail


@pytest.mark.parametrize(
    ("error_number", "words"),
    [(errno.ENOSPC, "no space left"), (errno.EACCES, "not permitted"), (errno.EIO, "Input/output error")],
)
@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    step: str, error_number: int, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.yaml"
    durable.write_text(path, "old")
    monkeypatch.setattr(os, step, failing(error_number))

    with pytest.raises(InputError, match=words) as caught:
        durable.write_text(path, "new")

    assert str(path) in caught.value.evidence
    assert "-d DIR" in caught.value.remedy
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["file.yaml"]


def test_a_directory_that_cannot_be_made_is_a_three_part_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InputError, match="cannot write") as caught:
        durable.make_directory(tmp_path / "file" / "cache")
    assert caught.value.evidence
    assert caught.value.remedy


def test_leftovers_of_a_killed_writer_are_removed(tmp_path: Path) -> None:
    (tmp_path / ".state.yaml.0011aabb.tmp").write_text("half")
    (tmp_path / "kept.tmp").write_text("not ours")

    durable.remove_leftovers(tmp_path)

    assert os.listdir(tmp_path) == ["kept.tmp"]


@pytest.mark.slow
def test_killed_at_200_random_points_every_file_loads(script: Writer, cache: Path) -> None:
    path = script("statistics = {'text': 'x' * 5000}")
    steps = [("obey", {"input": str(path)}), "store", "pass-over", ("store", {"text": "b"})]
    sequence = Sequence(steps)
    sequence.launch(State(cache, "model", environment={"seed": 0}))  # which imports what the others find imported
    started = time.monotonic()
    sequence.launch(State(cache, "model", environment={"seed": 0}))
    duration = time.monotonic() - started
    generator = random.Random(7)
    seen = set()

    for _ in range(200):
        child = os.fork()
        if child == 0:
            try:
                sequence.launch(State(cache, "model", environment={"seed": 0}))
            finally:
                os._exit(0)
        time.sleep(generator.uniform(0, 1.5 * duration))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        state = load_state(cache, "model")
        seen.add(state.build_status)
        assert read_statistics_of(cache)["build_name"] == "model"
        assert all(file.stat().st_size for file in (cache / "model").glob("*.yaml"))

    assert {"killed", "successful"} <= seen
    sequence.launch(State(cache, "model", environment={"seed": 0}))
    assert not list((cache / "model").glob(".*.tmp"))


def read_statistics_of(cache: Path) -> dict[str, Any]:
    paths = BuildPaths(cache, "model")
    if paths.statistics.exists():
        return read_statistics(paths)
    return {"build_name": "model"}  # between moving the earlier ones into the history and the first write


def test_a_directory_that_somebody_removed_is_said_to_be_gone(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"cannot write stats\.yaml: its directory is gone"):
        durable.write_text(tmp_path / "build" / "stats.yaml", "")
