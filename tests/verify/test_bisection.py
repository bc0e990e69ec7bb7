"""Bisection over the steps of a computation."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from turnkey.verify.bisection import divergent_step


@given(
    st.integers(1, 300).flatmap(lambda count: st.tuples(st.just(count), st.sets(st.integers(1, count), min_size=1)))
)
def test_the_first_wrong_step_is_found_with_about_two_questions_per_halving(case):
    count, wrong = case
    asked = []

    def differs(low, high):
        asked.append((low, high))
        return any(low < step <= high for step in wrong)

    assert divergent_step(count, differs) == min(wrong)
    assert len(asked) <= 2 * count.bit_length()
    assert all(high - low <= (count + 1) // 2 for low, high in asked)  # nothing larger than half is ever run


def test_errors_that_only_add_up_are_no_steps_fault():
    assert divergent_step(16, lambda low, high: high - low > 4) is None
