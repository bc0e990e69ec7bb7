"""What a Slurm job tells its call while it works: a file that one writes and the other reads as it grows."""

from __future__ import annotations

import errno
from pathlib import Path
from typing import Any

import pytest

from turnkey.launch import slurm_progress
from turnkey.launch.slurm_progress import JobProgress, telling
from turnkey.pipeline.events import Event


def event(kind: str, text: str = "", **fields: Any) -> Event:
    return Event(kind=kind, input="ü 'a\nb.py", build_name="a", tool="benchmark", text=text, **fields)


def test_events_arrive_in_order_each_once_and_none_stops_the_drawing_here(tmp_path: Path) -> None:
    path = tmp_path / "slurm" / "progress" / "1.jsonl"
    progress, tell = JobProgress(path), telling(path)
    assert progress.new_events() == []

    tell(event("input-started"))
    tell(event("tool-started", "Benchmarking", measures=True))
    assert progress.new_events() == [event("tool-started", "Benchmarking")]
    tell(event("tool-progress", "round 1"))
    tell(event("tool-finished", "", status="successful", seconds=1.5))
    tell(event("input-finished"))

    assert progress.new_events() == [
        event("tool-progress", "round 1"),
        event("tool-finished", status="successful", seconds=1.5),
    ]
    assert progress.new_events() == []
    assert len(JobProgress(path).new_events()) == 3, "a later call begins at the beginning"


def test_half_a_line_waits_for_its_end_and_what_is_no_event_is_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slurm_progress, "_AT_ONCE_BYTES", 1000)
    path = tmp_path / "1.jsonl"
    progress, tell = JobProgress(path), telling(path)
    tell(event("note", "one"))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert progress.new_events() == []
    path.write_bytes(whole)
    assert progress.new_events() == [event("note", "one")]

    with path.open("ab") as file:
        file.write(b'[1]\n{"kind": 1}\n{"kind": ["note"], "input": "a"}\n\xff\n{"half": ')
    tell(event("note", "two"))  # the job was killed in the middle of a line, and began again
    assert progress.new_events() == [event("note", "two")]

    with path.open("ab") as file:
        file.write(b"x" * 5000)
    tell(event("note", "three"))
    assert [told.text for _ in range(10) for told in progress.new_events()] == ["three"]


def test_a_full_disk_keeps_what_is_told_from_nobody_s_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("builtins.open", full)

    telling(tmp_path / "progress" / "1.jsonl")(event("note", "one"))

    monkeypatch.undo()
    assert JobProgress(tmp_path / "progress" / "1.jsonl").new_events() == []
