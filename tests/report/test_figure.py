"""Figures for people."""

from __future__ import annotations

import math

import pytest

from turnkey.report.figure import count, interval, is_number, number, size


@pytest.mark.parametrize(
    ("value", "text"),
    [(1.2345, "1.23"), (12345.6, "12,346"), (0.00456, "0.00456"), (None, "–"), (True, "–"), ("1", "–")],
)
def test_numbers_have_three_digits_and_what_is_none_is_a_dash(value: object, text: str) -> None:
    assert number(value) == text


def test_an_interval_without_bounds_is_its_centre() -> None:
    assert interval(5.381, 4.5, 6.4) == "5.38 [4.5, 6.4]"
    assert interval(5.381, None, 6.4) == "5.38"
    assert interval(None, 1, 2) == "–"


def test_sizes_are_binary_and_nothing_is_a_dash() -> None:
    assert size(44 * 2**20) == "44.0 MiB"
    assert size(0) == "–"
    assert size(math.nan) == "–"


def test_not_finite_is_no_number() -> None:
    assert not is_number(math.inf)
    assert not is_number(math.nan)


def test_one_is_singular() -> None:
    assert (count(1, "model"), count(2000, "model")) == ("1 model", "2,000 models")
