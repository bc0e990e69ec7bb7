"""The metadata's text: comments and order as given, values as `tomllib` reads them back."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.lexer.toml_text import Commented, toml_text

SCALARS = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
)
VALUES = st.recursive(
    st.one_of(SCALARS, st.lists(SCALARS, max_size=3)),
    lambda inner: st.one_of(
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4),
        st.lists(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=3), max_size=3),
    ),
    max_leaves=12,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), VALUES, max_size=5))
def test_what_is_written_is_read_back(document: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(document)) == document


def test_comments_order_and_headings_are_as_given() -> None:
    text = toml_text(
        {"title": "t", "at": Commented("now", "in UTC"), "b": {"config": {"inner": {"x": 1}}}, "none": None},
        heading=("first", "second"),
    )

    assert text == ('# first\n# second\n\ntitle = "t"\nat = "now" # in UTC\n\n[b.config]\n\n[b.config.inner]\nx = 1\n')


def test_what_toml_cannot_hold_is_refused() -> None:
    with pytest.raises(TypeError):
        toml_text({"x": object()})
