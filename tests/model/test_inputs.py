"""What the words of a user name: kinds, wildcards, lists, duplicates, and mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from turnkey.errors import UsageError
from turnkey.model.inputs import InputKind, expand_inputs


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ["b.py", "a.py", "m.onnx", "sub/c.py", "sub/deep/d.py", "x/x_state.yaml", "notes.md", "my model.py"]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def texts(*words: str) -> list[str]:
    return [found.text for found in expand_inputs(words).inputs]


def refusal(*words: str) -> str:
    with pytest.raises(UsageError) as caught:
        expand_inputs(words, suggest=lambda word: ["discover"] if word == "discver" else [])
    return str(caught.value)


def test_each_kind_is_known_by_its_name() -> None:
    found = expand_inputs(["a.py", "m.onnx", "x/x_state.yaml", "b.py::479b1332"]).inputs
    assert [item.kind for item in found] == [InputKind.SCRIPT, InputKind.ONNX, InputKind.BUILD, InputKind.SCRIPT]
    assert found[3].target == "479b1332"
    assert found[3].path == Path("b.py")


def test_matches_of_a_wildcard_are_sorted_and_words_keep_their_order() -> None:
    assert texts("m.onnx", "[ab].py") == ["m.onnx", "a.py", "b.py"]
    assert texts("sub/**/*.py") == ["sub/c.py", "sub/deep/d.py"]


def test_a_file_whose_name_looks_like_a_wildcard_or_a_hash_is_that_file(directory: Path) -> None:
    (directory / "a[1].py").write_text("")
    (directory / "a::1.py").write_text("")
    assert texts("a[1].py", "a::1.py") == ["a[1].py", "a::1.py"]


def test_a_list_may_hold_comments_wildcards_hashes_and_further_lists(directory: Path) -> None:
    (directory / "all.txt").write_text("# ours\n\n  a.py::12345678\nsub/more.txt\n*.onnx\nmy model.py\n")
    (directory / "sub/more.txt").write_text("\ufeffb.py\r\ndeep/*.py\n", encoding="utf-8")
    assert texts("all.txt") == ["a.py::12345678", "b.py", "sub/deep/d.py", "m.onnx", "my model.py"]


def test_a_path_in_a_list_is_relative_to_the_working_directory_else_to_the_list(directory: Path) -> None:
    (directory / "sub/a.py").write_text("")
    (directory / "sub/list.txt").write_text("a.py\nc.py\n")
    assert texts("sub/list.txt") == ["a.py", "sub/c.py"]


def test_the_same_input_twice_runs_once_with_a_note() -> None:
    expanded = expand_inputs(["a.py", "./a.py", "a.py::1", "a.py::1", "sub/../a.py"])
    assert [item.text for item in expanded.inputs] == ["a.py", "a.py::1"]
    assert len(expanded.notes) == 3
    assert "more than once" in expanded.notes[0]


def test_a_tilde_is_the_home_directory(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(directory / "sub"))
    assert texts("~/c.py") == [str(directory / "sub/c.py")]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("missing.py", ["there is no file missing.py"]),
        ("my_model.py", ["there is no file", "did you mean my model.py?"]),
        ("missing.py::12345678", ["there is no file missing.py"]),
        ("nowhere/x.py", ["there is no file nowhere/x.py"]),
        ("*.pyx", ["no file matches", "*.pyx"]),
        ("*.py::12345678", ["exclude each other"]),
        ("sub", ["is a directory", "sub/*.py"]),
        ("notes.md", ["notes.md is no input", ".onnx"]),
        ("m.onnx::12345678", ["selects a model of a script"]),
        ("a.py::", ["selects a model of a script", "discover"]),
        ("discver", ["neither a file nor a tool", "did you mean the tool discover?"]),
    ],
)
def test_what_cannot_be_an_input_is_refused_with_a_remedy(word: str, parts: list[str]) -> None:
    message = refusal(word)
    for part in parts:
        assert part in message


def test_a_cycle_of_lists_is_named_with_its_lines(directory: Path) -> None:
    (directory / "one.txt").write_text("a.py\ntwo.txt\n")
    (directory / "two.txt").write_text("one.txt\n")
    message = refusal("one.txt")
    assert "contains itself" in message
    assert "two.txt, line 1" in message


def test_a_mistake_in_a_list_names_the_list_and_the_line(directory: Path) -> None:
    (directory / "list.txt").write_text("a.py\n\nmissing.py\n")
    assert "list.txt, line 3" in refusal("list.txt")


def test_a_list_that_is_not_text_is_refused(directory: Path) -> None:
    (directory / "list.txt").write_bytes(b"\xff\xfe\x00a")
    assert "is not text" in refusal("list.txt")


def test_a_link_to_nothing_is_a_missing_file(directory: Path) -> None:
    (directory / "gone.py").symlink_to(directory / "nothing.py")
    assert "there is no file gone.py" in refusal("gone.py")
