"""Scales, ticks and marks."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.report.svg import Drawing, Scale, scale_of, tick_text, wants_log

numbers = st.floats(min_value=1e-6, max_value=1e9)


@given(values=st.lists(numbers, min_size=1, max_size=20), is_log=st.booleans())
def test_every_value_has_its_place_between_the_ends_and_order_is_kept(values: list[float], is_log: bool) -> None:
    scale = scale_of(values, start=10, end=200, is_log=is_log)
    places = [scale.place(value) for value in sorted(values)]
    assert all(10 <= place <= 200 for place in places)
    assert places == sorted(places)


@given(low=numbers, factor=st.floats(min_value=1.001, max_value=1e6), is_log=st.booleans())
def test_ticks_are_few_and_lie_inside(low: float, factor: float, is_log: bool) -> None:
    scale = Scale(low=low, high=low * factor, start=0, end=100, is_log=is_log)
    ticks = scale.ticks()
    assert 1 <= len(ticks) <= 12
    assert all(scale.low * 0.999 <= tick <= scale.high * 1.001 for tick in ticks)


def test_one_value_alone_stands_in_the_middle() -> None:
    for value in (3.0, 1e-7, 0.0, -2e9):
        scale = scale_of([value], start=0, end=100)
        assert scale.place(value) == pytest.approx(50)
        assert all(abs(tick) <= 2 * abs(value) for tick in scale.ticks()) or value == 0


def test_far_apart_values_want_a_logarithmic_scale() -> None:
    assert wants_log([1, 20])
    assert not wants_log([1, 2])
    assert not wants_log([])


def test_ticks_are_short() -> None:
    assert [tick_text(value) for value in (0.5, 20, 5000, 2e6)] == ["0.5", "20", "5k", "2M"]


def test_text_from_outside_stays_text() -> None:
    drawing = Drawing(10, 10, title='a "b" <script>alert(1)</script>')
    drawing.text(1, 2, "<script>alert(2)</script> & more")
    drawing.circle(1, 2, "s0", tip="</title><script>")
    markup = drawing.markup()
    assert "<script" not in markup
    root = ElementTree.fromstring(markup)
    assert [element.tag for element in root.iter() if "script" in element.tag] == []
    assert any(element.text == "<script>alert(2)</script> & more" for element in root.iter("text"))
