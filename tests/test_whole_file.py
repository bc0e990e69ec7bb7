"""Files that appear under their names whole, or not at all; faults are planted by tests/pipeline/test_durable.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from turnkey.whole_file import whole_file


def test_a_reader_sees_the_older_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    path.write_text("old")
    with whole_file(path, keeps_suffix=True) as unfinished:
        unfinished.write_text("new")
        assert unfinished.suffix == ".pt2"
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert os.listdir(tmp_path) == ["model.pt2"]


def test_an_error_of_the_writer_is_passed_on_and_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail() -> None:
        with whole_file(tmp_path / "model") as unfinished:
            unfinished.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert os.listdir(tmp_path) == []
