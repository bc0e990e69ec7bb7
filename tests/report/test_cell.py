"""Cells of a CSV report."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.report.cell import cell, columns_of, guarded, unguarded


@pytest.mark.parametrize("text", ["=1+1", "+1", "@SUM(A1)", "\tx", "-2+3", "-x", "--", "-1-1"])
def test_text_that_a_spreadsheet_would_execute_gets_a_leading_quote(text: str) -> None:
    assert guarded(text) == f"'{text}"
    assert unguarded(guarded(text)) == text


@pytest.mark.parametrize("text", ["-", "-1", "-1.5", "-.5", "-2e-05", "linear", "1-2", "", "a=b", "'quoted'"])
def test_numbers_the_placeholder_and_plain_text_stay_as_they_are(text: str) -> None:
    assert guarded(text) == text
    assert unguarded(text) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (True, "true"),
        (0.1, "0.1"),
        (-3, "-3"),
        (["discover", "export-pytorch"], "discover export-pytorch"),
        ([1, 3, 224, 224], "1 3 224 224"),
        (["=cmd", "x"], "'=cmd x"),
        ([{"a": 1}], '{"a": 1}'),
        ([], ""),
    ],
)
def test_no_cell_is_python_text(value: object, text: str) -> None:
    assert cell(value) == text


def test_a_mapping_becomes_columns_however_deep() -> None:
    value = {"processor": "x", "memory": {"Total": 5}, "packages": ["a==1"] * 500}
    assert dict(columns_of("system_info", value)) == {"system_info.processor": "x", "system_info.memory.total": "5"}


def test_the_steps_of_a_curve_are_columns_with_their_values_in_order() -> None:
    rungs = [{"batch_size": 1, "ms": 0.5, "reasons": []}, {"batch_size": 8, "gain": 1.5, "reasons": ["x"]}]
    assert dict(columns_of("batches", {"rungs": rungs, "stop": "complete"})) == {
        "batches.rungs.batch_size": "1 8",
        "batches.rungs.ms": "0.5 -",
        "batches.rungs.gain": "'- 1.5",
        "batches.stop": "complete",
    }


def test_labels_read_as_in_the_first_line_of_a_script() -> None:
    value = {"domain": ["nlp"], "task": ["question_answering", "translation"]}
    assert dict(columns_of("labels", value)) == {"labels": "domain::nlp task::question_answering,translation"}


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
)


@given(st.text(min_size=1), plain)
def test_no_cell_of_any_statistic_starts_a_formula(key: str, value: object) -> None:
    cells = [text for pair in columns_of(key, value) for text in pair]
    assert not any(text.startswith(("=", "+", "@", "\t", "\r")) for text in cells)


@given(st.text(alphabet="'=+-@\ta1 ", max_size=6))
def test_every_text_is_read_back_as_it_was(text: str) -> None:
    assert unguarded(guarded(text)) == text
