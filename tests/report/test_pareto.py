"""What nothing beats."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnkey.report.pareto import unbeaten

costs = st.tuples(*[st.one_of(st.none(), st.integers(0, 5).map(float))] * 3)


def test_what_is_worse_in_everything_is_beaten() -> None:
    assert unbeaten({"fast": (1, 9), "small": (9, 1), "bad": (9, 9)}) == {"fast", "small"}


def test_equals_do_not_beat_each_other() -> None:
    assert unbeaten({"a": (1, 1), "b": (1, 1)}) == {"a", "b"}


def test_an_unknown_cost_decides_nothing() -> None:
    assert unbeaten({"a": (1, None), "b": (2, 1)}) == {"a"}
    assert unbeaten({"a": (None, None), "b": (2, 1)}) == {"a", "b"}


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.tuples(*[st.integers(0, 5).map(float)] * 3), min_size=1))
def test_something_is_never_beaten_where_all_is_known(found: dict[str, tuple[float, ...]]) -> None:
    front = unbeaten(found)
    assert front
    best = min(found.values())
    assert any(found[key] == best for key in front)
