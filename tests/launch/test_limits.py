"""What one input uses, as its warden reads it."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from turnkey.launch.limits import Limits, Usage


def test_the_limit_that_is_passed_is_named_with_what_was_used(tmp_path: Path) -> None:
    build, scratch = tmp_path / "build", tmp_path / "scratch"
    (build / "onnx").mkdir(parents=True)
    scratch.mkdir()
    (build / "onnx" / "model.onnx").write_bytes(bytes(600))
    (build / "log_discover.txt").write_bytes(bytes(200))
    (scratch / "left").write_bytes(bytes(300))
    os.symlink("/usr", scratch / "elsewhere")

    for limits, passed, used_bytes in (
        (Limits(build=build, scratch=scratch, disk_bytes=1099), "disk", 1100),
        (Limits(build=build, scratch=scratch, disk_bytes=1100), "", 1100),
        (Limits(build=build, output_bytes=199), "output", 200),
        (Limits(build=build, disk_bytes=800, output_bytes=200), "", 200),
    ):
        usage = Usage(limits)
        assert (usage.passed(), usage.used_bytes) == (passed, used_bytes)


def test_folders_that_vanish_while_they_are_summed_up_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a", "b"):
        (tmp_path / name / "inside").mkdir(parents=True)
        (tmp_path / name / "inside" / "file").write_bytes(bytes(100))
    real = os.scandir

    def remove_first(path: str | int) -> object:  # a number where shutil asks
        if isinstance(path, str) and os.path.basename(path) in ("a", "b"):
            shutil.rmtree(tmp_path / "a", ignore_errors=True)
        return real(path)

    monkeypatch.setattr(os, "scandir", remove_first)

    assert Usage(Limits(build=tmp_path, disk_bytes=99)).passed() == "disk"
    shutil.rmtree(tmp_path)
    assert Usage(Limits(build=tmp_path, disk_bytes=1, output_bytes=1)).passed() == ""
