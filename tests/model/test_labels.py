"""Labels on the first line of a script, and the filter by them."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.errors import InputError, UsageError
from turnkey.model.labels import (
    ONNX_PROPERTY,
    has_labels,
    has_labels_but_for_case,
    label_text,
    parse_filter,
    parse_labels,
    read_onnx_labels,
    read_script_labels,
)

GUIDE = {"domain": ("nlp",), "author": ("google",), "task": ("question_answering", "translation")}
GUIDE_TEXT = "domain::nlp author::google task::question_answering,translation"


def script(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "model.py"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "pragma", ["#labels ", "# labels ", "#labels: ", "# labels: ", "#labels:", "#   labels\t", "\ufeff#labels "]
)
def test_every_spelling_of_the_pragma_is_read(tmp_path: Path, pragma: str) -> None:
    reading = read_script_labels(script(tmp_path, f"{pragma}{GUIDE_TEXT}\nimport torch\n"))
    assert reading.labels == GUIDE
    assert reading.warnings == ()


def test_the_misspelling_of_the_guide_is_read_with_a_warning(tmp_path: Path) -> None:
    reading = read_script_labels(script(tmp_path, "#lables task::Computer_Vision\n"))
    assert reading.labels == {"task": ("Computer_Vision",)}
    assert "#lables" in reading.warnings[0]


@pytest.mark.parametrize(
    "text", ["", "import torch\n#labels a::b\n", "#labelsa::b\n", "# my labels a::b\n", "x = 1  # labels a::b\n"]
)
def test_only_a_pragma_on_the_first_line_counts(tmp_path: Path, text: str) -> None:
    assert read_script_labels(script(tmp_path, text)).labels == {}


def test_a_malformed_label_is_a_warning_with_file_and_line_and_the_others_count(tmp_path: Path) -> None:
    reading = read_script_labels(script(tmp_path, "#labels a::b broken c:: ::d e::f,,g h::i a::j\n"))
    assert reading.labels == {"a": ("b", "j"), "h": ("i",)}
    assert len(reading.warnings) == 4
    assert all("model.py, line 1" in warning for warning in reading.warnings)
    assert "'broken'" in reading.warnings[0]


def test_a_script_that_cannot_be_read_is_a_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"missing\.py"):
        read_script_labels(tmp_path / "missing.py")


@pytest.mark.parametrize(
    ("filter_texts", "kept"),
    [
        ([], True),
        (["task::translation"], True),
        (["task::question_answering,translation"], True),
        (["task::translation,summarization"], False),
        (["task::translation", "author::google"], True),
        (["task::translation", "author::meta"], False),
        (["task::translation", "task::summarization"], False),
        (["license::mit"], False),
        (["task::Translation"], False),
        (["Task::translation"], False),
    ],
)
def test_an_input_is_kept_if_it_has_every_requested_value_of_every_requested_key(
    filter_texts: list[str], kept: bool
) -> None:
    assert has_labels(GUIDE, parse_filter(filter_texts)) is kept


def test_a_mere_difference_of_case_can_be_told() -> None:
    assert has_labels_but_for_case(GUIDE, parse_filter(["Task::Translation"]))
    assert not has_labels_but_for_case(GUIDE, parse_filter(["task::vision"]))


@pytest.mark.parametrize("text", ["task", "task::", "::x", "task:x", "a::b::c", "", "a::b,", "a b::c"])
def test_a_malformed_filter_is_a_usage_error_and_never_lets_all_pass(text: str) -> None:
    with pytest.raises(UsageError, match="KEY::VALUE"):
        parse_filter([text])


def test_labels_of_an_onnx_file_are_in_its_metadata(tmp_path: Path) -> None:
    value = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", [value], [value])
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, {ONNX_PROPERTY: GUIDE_TEXT})
    onnx.save(model, tmp_path / "m.onnx")
    assert read_onnx_labels(tmp_path / "m.onnx").labels == GUIDE


def test_a_corrupt_onnx_file_is_a_bad_input(tmp_path: Path) -> None:
    (tmp_path / "m.onnx").write_bytes(b"\xff" * 40)
    with pytest.raises(InputError, match="cannot be read as an ONNX model"):
        read_onnx_labels(tmp_path / "m.onnx")


WORDS = st.text(st.characters(exclude_categories=["Z", "C"], exclude_characters=":,"), min_size=1, max_size=6)


@given(st.dictionaries(WORDS, st.lists(WORDS, min_size=1, max_size=3, unique=True).map(tuple), max_size=4))
def test_labels_printed_are_read_as_the_same_labels(labels: dict[str, tuple[str, ...]]) -> None:
    assert parse_labels(label_text(labels), place="here").labels == labels
