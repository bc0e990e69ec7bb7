"""Kinds of JSON values name the first place that does not fit."""

from __future__ import annotations

import pytest

from turnkey.mlf.json_shape import misfit

KIND = {"rows": [(str, int)], "?by_name": {"*": float}, "?on": bool}


@pytest.mark.parametrize(
    "value", [{"rows": []}, {"rows": [["a", 1]], "by_name": {"x": 1, "y": 2.5}, "on": True, "more": [None]}]
)
def test_what_fits_has_no_misfit(value: object) -> None:
    assert misfit(value, KIND, "$") is None


@pytest.mark.parametrize(
    ("value", "path", "expected"),
    [
        ([], "$", "an object"),
        ({}, "$.rows", "a value"),
        ({"rows": {}}, "$.rows", "a list"),
        ({"rows": [["a"]]}, "$.rows[0]", "a list of 2"),
        ({"rows": [["a", 1], ["b", -1]]}, "$.rows[1][1]", "a count"),
        ({"rows": [["a", True]]}, "$.rows[0][1]", "a count"),
        ({"rows": [["a", 1 << 70]]}, "$.rows[0][1]", "a count"),
        ({"rows": [], "by_name": {"x": "1"}}, "$.by_name.x", "a number"),
        ({"rows": [], "on": 1}, "$.on", "true or false"),
    ],
)
def test_the_first_misfit_is_named(value: object, path: str, expected: str) -> None:
    found = misfit(value, KIND, "$")
    assert found is not None
    assert found[:2] == (path, expected)
