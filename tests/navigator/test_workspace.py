"""Directories of runs: claimed whole, and never another's."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from turnkey.navigator import workspace as module
from turnkey.navigator.workspace import Workspace, claim, is_ours


def claimed(path: Path, *, same: bool = True) -> Workspace:
    return claim(path, is_same_run=lambda found: same)


def test_no_other_process_sees_a_directory_before_it_is_marked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, seen = module.durable.write_text, []

    def write(path: Path, text: str) -> None:
        seen.append((tmp_path / "w").exists())
        real(path, text)

    monkeypatch.setattr(module.durable, "write_text", write)
    assert is_ours(claimed(tmp_path / "w").path)
    assert seen == [False]


def test_of_two_that_make_one_directory_the_second_finds_that_of_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, first = os.rename, []

    def rename(source: Any, target: Any) -> None:
        monkeypatch.setattr(os, "rename", real)
        first.append(claimed(tmp_path / "w"))
        real(source, target)

    monkeypatch.setattr(os, "rename", rename)
    assert claimed(tmp_path / "w") == first[0]
    assert [path.name for path in tmp_path.iterdir()] == ["w"], "nothing is left beside it"


def test_an_empty_directory_stays_the_same_and_a_replaced_run_leaves_nothing_but_its_marker(tmp_path: Path) -> None:
    (tmp_path / "w").mkdir()
    before = (tmp_path / "w").stat().st_ino
    workspace = claimed(tmp_path / "w")
    (workspace.path / "onnx").mkdir()
    (workspace.path / "onnx" / "model.onnx").write_bytes(b"x")
    (workspace.path / "elsewhere").symlink_to(tmp_path)
    claim(tmp_path / "w", is_same_run=lambda found: False, override=True)
    assert is_ours(workspace.path)
    assert {path.name for path in workspace.path.iterdir()} == {workspace.build.marker.name, workspace.build.lock.name}
    assert (tmp_path / "w").stat().st_ino == before
