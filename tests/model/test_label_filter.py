"""The filter of ``--labels`` over inputs."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.errors import UsageError
from turnkey.model.inputs import Input, InputKind
from turnkey.model.label_filter import filter_inputs
from turnkey.model.labels import Labels, read_script_labels


def labels_of(item: Input) -> tuple[Labels, tuple[str, ...]]:
    reading = read_script_labels(item.path)
    return reading.labels, reading.warnings


@pytest.fixture
def scripts(tmp_path: Path) -> list[Input]:
    lines = {"a.py": "#labels task::vision author::meta\n", "b.py": "#labels task::translation broken\n", "c.py": "\n"}
    for name, line in lines.items():
        (tmp_path / name).write_text(line)
    return [Input(path=tmp_path / name, kind=InputKind.SCRIPT) for name in lines]


def kept(scripts: list[Input], *texts: str) -> list[str]:
    return [item.path.name for item in filter_inputs(scripts, texts, labels_of=labels_of).inputs]


def test_inputs_without_the_requested_labels_are_left_out(scripts: list[Input]) -> None:
    assert kept(scripts) == ["a.py", "b.py", "c.py"]
    assert kept(scripts, "task::vision") == ["a.py"]
    assert kept(scripts, "task::vision", "author::meta") == ["a.py"]


def test_the_user_is_told_how_many_stay_and_which_labels_are_malformed(scripts: list[Input]) -> None:
    notes = filter_inputs(scripts, ["task::translation"], labels_of=labels_of).notes
    assert "1 of 3 inputs have task::translation" in notes
    assert any("'broken'" in note for note in notes)


def test_a_filter_that_keeps_nothing_says_so_and_points_out_a_difference_of_case(scripts: list[Input]) -> None:
    with pytest.raises(UsageError, match="no input has the requested labels"):
        kept(scripts, "task::audio")
    with pytest.raises(UsageError, match=r"upper and lower case count: .*has task::vision author::meta"):
        kept(scripts, "task::Vision")
