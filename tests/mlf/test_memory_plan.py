"""Planning: never an overlap, never below the bound, optimal where the exact search says so."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from turnkey.mlf.failures import MlfUsageError
from turnkey.mlf.memory_plan import Buffer, check, greedy_by_step, live_bytes, plan, without_reuse

BUFFERS = st.lists(st.tuples(st.integers(0, 600), st.integers(0, 12), st.integers(0, 6)), max_size=14).map(
    lambda rows: [Buffer(f"b{i}", size, first, first + life) for i, (size, first, life) in enumerate(rows)]
)


@given(BUFFERS, st.sampled_from([4, 16, 64]), st.sampled_from(["auto", "best-fit", "exact"]))
@settings(deadline=None)
def test_every_plan_holds_between_the_bound_and_no_reuse(buffers: list[Buffer], align: int, algorithm: str) -> None:
    made = plan(buffers, align=align, algorithm=algorithm, budget=2000)
    check(made)
    assert made.lower_bound == max(live_bytes(buffers, align=align), default=0)
    assert made.lower_bound <= made.workspace <= without_reuse(buffers, align=align)
    assert made.proven or made.workspace > made.lower_bound


@given(st.lists(st.tuples(st.integers(1, 4), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=5))
@settings(deadline=None, max_examples=60)
def test_the_exact_search_finds_what_brute_force_finds(rows: list[tuple[int, int, int]]) -> None:
    buffers = [Buffer(f"b{i}", 4 * size, first, first + life) for i, (size, first, life) in enumerate(rows)]
    made = plan(buffers, align=4, algorithm="exact", budget=500_000)
    assert made.proven
    assert made.workspace == _least(buffers)


def _least(buffers: list[Buffer]) -> int:
    """Every plan can be pushed down to one that some order of lowest placements makes."""
    best = sum(buffer.bytes for buffer in buffers)
    for order in itertools.permutations(buffers):
        placed: list[tuple[Buffer, int]] = []
        for buffer in order:
            busy = sorted((a, a + b.bytes) for b, a in placed if b.first <= buffer.last and buffer.first <= b.last)
            start = 0
            for low, high in busy:
                if low < start + buffer.bytes and start < high:
                    start = high
            placed.append((buffer, start))
        best = min(best, max(start + buffer.bytes for buffer, start in placed))
    return best


def test_a_case_that_best_fit_misses_is_solved_and_proven() -> None:
    buffers = [
        Buffer("a", 48, 0, 1), Buffer("b", 32, 0, 3), Buffer("c", 64, 2, 5), Buffer("d", 16, 1, 4),
        Buffer("e", 80, 5, 7), Buffer("f", 32, 4, 6), Buffer("g", 16, 6, 8), Buffer("h", 48, 3, 5),
    ]  # fmt: skip
    made = plan(buffers, algorithm="auto")
    check(made)
    assert made.proven


def test_the_same_buffers_give_the_same_plan() -> None:
    buffers = [Buffer(f"b{i}", 16 * (i * 7 % 5 + 1), i % 6, i % 6 + i % 3) for i in range(20)]
    assert plan(buffers) == plan(list(buffers))


def test_the_checker_sees_a_seeded_overlap() -> None:
    made = plan([Buffer("a", 64, 0, 2), Buffer("b", 64, 1, 3)])
    made.offsets["b"] = made.offsets["a"] + 16  # type: ignore[index]
    with pytest.raises(AssertionError, match="overlap"):
        check(made)


def test_a_greedy_planner_needs_more_where_best_fit_does_not() -> None:
    buffers = [Buffer("a", 16, 0, 0), Buffer("b", 32, 0, 9), Buffer("c", 48, 1, 9)]
    assert plan(buffers).workspace == 80
    assert greedy_by_step(buffers) > 80


def test_buffers_that_make_no_sense_are_refused() -> None:
    with pytest.raises(MlfUsageError, match="mlf-bad-option"):
        plan([Buffer("a", 1, 3, 2)])
    with pytest.raises(MlfUsageError, match="mlf-bad-option"):
        plan([Buffer("a", 1, 0, 0), Buffer("a", 1, 0, 0)])
    with pytest.raises(MlfUsageError, match="mlf-bad-option"):
        plan([], align=24)


def test_buffers_may_be_plain_tuples() -> None:
    made = plan([("a", 64, 0, 1), ("b", 32, 1, 2), ("c", 64, 2, 3)], align=16)
    assert (made.workspace, made.lower_bound) == (96, 96)
