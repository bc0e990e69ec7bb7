"""Values as plain data."""

from __future__ import annotations

import json
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.pipeline import plain_yaml
from turnkey.pipeline.plain_data import plain


class Colour(Enum):
    RED = "red"


class Text(str):
    """A string of a library's own."""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ((1, 2), [1, 2]),
        ({"b", "a"}, ["a", "b"]),
        (Path("/a/b"), "/a/b"),
        (Colour.RED, "red"),
        (MappingProxyType({1: (2,)}), {"1": [2]}),
        (np.float32(0.5), 0.5),
        (np.int64(3), 3),
        (np.bool_(True), True),
        (float("inf"), "inf"),
        (float("nan"), "nan"),
        (Text("x"), "x"),
        ("name \udcff", "name \\udcff"),
    ],
)
def test_each_value_has_its_plain_form(value: Any, expected: Any) -> None:
    found = plain(value)

    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize("value", [object(), np.zeros(3), b"bytes", lambda: None])
def test_a_value_without_plain_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="no plain form"):
        plain({"x": [value]})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner) | st.tuples(inner, inner),
        max_leaves=8,
    )
)
def test_plain_data_stays_what_it_is_and_can_be_written(value: Any) -> None:
    found = plain(value)

    assert plain(found) == found
    assert json.loads(json.dumps(found)) == found
    plain_yaml.dump({"value": found}).encode()
