"""Files and directories of formats, written whole or not at all."""

from __future__ import annotations

import pytest

from turnkey.formats.finished_file import finished_directory, finished_file


def fill(place, text):
    place.mkdir()
    (place / "graph").write_text(text)


def test_a_file_keeps_its_suffix_while_it_is_written_and_its_directory_is_made(tmp_path):
    path = tmp_path / "torch-aoti" / "model.pt2"
    with finished_file(path) as unfinished:
        assert unfinished.suffix == ".pt2"
        unfinished.write_text("new")
        assert not path.exists()
    assert [entry.name for entry in path.parent.iterdir()] == ["model.pt2"]


def test_a_directory_replaces_an_older_one_as_a_whole(tmp_path):
    path = tmp_path / "saved" / "model"
    for text in ("old", "new"):
        with finished_directory(path) as unfinished:
            fill(unfinished, text)
        assert (path / "graph").read_text() == text
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


def test_a_writer_that_fails_leaves_the_older_directory_and_nothing_else(tmp_path):
    path = tmp_path / "model"
    fill(path, "old")

    def half() -> None:
        with finished_directory(path) as unfinished:
            fill(unfinished, "half")
            raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        half()
    assert (path / "graph").read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["model"]
