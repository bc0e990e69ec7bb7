"""Quantities as users write them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.pipeline import quantity


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("4096", 4096),
        ("4GiB", 4 * 1024**3),
        ("256MB", 256_000_000),
        ("1.5g", 1_500_000_000),
        ("2k", 2000),
        ("1 KiB", 1024),
        ("3tib", 3 * 1024**4),
        ("7b", 7),
    ],
)
def test_sizes_have_decimal_and_binary_units(text: str, size: int) -> None:
    assert quantity.size_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "4 GiBytes", "1e9", "0", "0.5b", "nan", "infGB", "4GiB 2"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|above 0"):
        quantity.size_bytes(text)


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (quantity.count, ["0", "7"], ["-1", "1.5", "x", ""]),
        (quantity.positive_count, ["1", "7"], ["0", "-1", "x"]),
        (quantity.whole_number, ["-3", "0"], ["1.0", "x"]),
        (quantity.positive_number, ["0.5", "1e3"], ["0", "-1", "nan", "inf", "x"]),
        (quantity.tolerance, ["0", "1e-5"], ["-1e-9", "nan", "inf"]),
        (quantity.number, ["-1.5"], ["nan", "-inf", ""]),
    ],
)
def test_numbers_outside_their_range_are_refused(
    parse: Callable[[str], float], good: list[str], bad: list[str]
) -> None:
    for text in good:
        assert parse(text) == float(text)
    for text in bad:
        with pytest.raises(ValueError, match="must be"):
            parse(text)


@pytest.mark.parametrize(("text", "share"), [("5%", 0.05), ("2.5 %", 0.025), (" 100% ", 1.0)])
def test_a_percentage_has_its_sign(text: str, share: float) -> None:
    assert quantity.percentage(text) == pytest.approx(share)


@pytest.mark.parametrize("text", ["5", "0.05", "0%", "-1%", "nan%", "inf%", "%", "5%%", "5% more", ""])
def test_what_is_no_percentage_above_zero_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        quantity.percentage(text)


@given(st.integers(min_value=1, max_value=1 << 50))
def test_a_shown_size_is_read_as_nearly_the_same_size(size: int) -> None:
    assert quantity.size_bytes(quantity.size_text(size).replace(" bytes", "")) == pytest.approx(size, rel=0.06)
