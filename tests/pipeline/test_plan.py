"""The plan of a call: which inputs are worked on, and which tools each goes through."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.errors import UsageError
from turnkey.pipeline.plan import make_plan


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "a.py").write_text("#labels task::vision author::meta\n")
    (tmp_path / "b.py").write_text("#labels task::translation broken\n")
    (tmp_path / "m.onnx").write_bytes(b"\xff")
    (tmp_path / "x_state.yaml").write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def tools(*words: str, steps: list[tuple[str, dict[str, object]]]) -> dict[str, list[str]]:
    return {item.input.text: [name for name, _ in item.steps] for item in make_plan(words, steps).items}


def test_inputs_alone_run_the_default_sequence_of_their_kind_and_the_user_is_told() -> None:
    plan = make_plan(["a.py", "m.onnx", "x_state.yaml"], [])
    assert [" ".join(name for name, _ in item.steps) for item in plan.items] == [
        "discover export-pytorch verify benchmark",
        "load-onnx verify benchmark",
        "load-build benchmark",
    ]
    assert any("export-pytorch" in note for note in plan.notes)


def test_under_discover_files_and_builds_are_loaded_and_scripts_are_run() -> None:
    steps: list[tuple[str, dict[str, object]]] = [("discover", {"max_depth": 1}), ("benchmark", {})]
    assert tools("a.py", "m.onnx", "x_state.yaml", steps=steps) == {
        "a.py": ["discover", "benchmark"],
        "m.onnx": ["load-onnx", "benchmark"],
        "x_state.yaml": ["load-build", "benchmark"],
    }
    assert dict(make_plan(["m.onnx"], steps).items[0].steps)["load-onnx"] == {}


@pytest.mark.parametrize(
    ("word", "first"),
    [("a.py", "load-onnx"), ("a.py", "load-build"), ("m.onnx", "load-build"), ("x_state.yaml", "load-onnx")],
)
def test_a_loader_never_takes_another_kind(word: str, first: str) -> None:
    with pytest.raises(UsageError, match=f"{first} cannot start from"):
        make_plan([word], [(first, {})])


def test_labels_select_inputs_and_malformed_ones_are_told() -> None:
    plan = make_plan(["a.py", "b.py"], [("discover", {})], labels=["task::translation"])
    assert [item.input.text for item in plan.items] == ["b.py"]
    assert any("'broken'" in note for note in plan.notes)
    assert "1 of 2 inputs have task::translation" in plan.notes


def test_a_filter_that_keeps_nothing_says_so_and_points_out_a_difference_of_case() -> None:
    with pytest.raises(UsageError, match="no input has the requested labels"):
        make_plan(["a.py"], [], labels=["task::audio"])
    with pytest.raises(UsageError, match=r"upper and lower case count: a\.py has task::vision author::meta"):
        make_plan(["a.py"], [], labels=["task::Vision"])


def test_an_input_whose_labels_cannot_be_read_is_left_out_with_its_reason() -> None:
    plan = make_plan(["a.py", "m.onnx"], [], labels=["task::vision"])
    assert [item.input.text for item in plan.items] == ["a.py"]
    assert any(note.startswith("m.onnx is left out") for note in plan.notes)
