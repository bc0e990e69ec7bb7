"""The tally of a corpus: what it counts, and what it dares to estimate."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.launch.tally import Tally, readable
from turnkey.pipeline.events import Event


def started(name: str) -> Event:
    return Event(kind="input-started", input=name)


def finished(name: str, status: str = "successful") -> Event:
    return Event(kind="input-finished", input=name, status=status)


def test_counts_what_is_done_at_work_and_waiting() -> None:
    tally = Tally(inputs=10)
    for name in "abcd":
        tally.apply(started(name), now=0.0)
    tally.apply(finished("a"), now=5.0)
    tally.apply(finished("b", "error"), now=6.0)
    tally.apply(Event(kind="tool-waiting", input="c", tool="benchmark"), now=7.0)

    assert tally.line(now=8.0) == ("2 of 10 inputs: 1 successful, 1 error; 2 at work (1 waiting for a turn)")


def test_estimates_from_what_was_done_so_far_and_not_from_what_was_skipped() -> None:
    tally = Tally(inputs=20)
    for index in range(10):
        tally.apply(finished(f"old{index}", "skipped"), now=0.0)
    tally.apply(started("a"), now=0.0)
    assert tally.seconds_left(now=1.0) is None
    for index in range(5):
        tally.apply(finished(f"new{index}"), now=100.0)

    assert tally.seconds_left(now=100.0) == pytest.approx(100.0)
    assert "about 2 min left" in tally.line(now=100.0)


@given(st.integers(1, 50), st.data())
def test_counts_add_up_and_the_estimate_is_never_negative(inputs: int, data: st.DataObject) -> None:
    tally = Tally(inputs=inputs)
    done = data.draw(st.integers(0, inputs))
    for index in range(done):
        tally.apply(started(str(index)), now=float(index))
        tally.apply(
            finished(str(index), data.draw(st.sampled_from(["successful", "error", "skipped"]))), now=index + 1.0
        )

    assert tally.finished == done
    assert (tally.seconds_left(now=done + 1.0) or 0.0) >= 0.0


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (600, "10 min"), (7500, "2 h 05 min")])
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    assert readable(seconds) == text
