"""What a gate says, on a simulated host whose truth is known, and from single figures."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simulated_records import simulated_record

from turnkey.errors import TurnkeyError
from turnkey.measure.simulated import HOSTS
from turnkey.measure.statistics import Interval
from turnkey.measure.verdict import exceeds
from turnkey.report.gate.check import BASE, HEAD, judgement_of
from turnkey.report.gate.exact import ExactResult
from turnkey.report.gate.judgement import Answer, Judgement, Slowdown, overall

LIMIT = 0.05


def judged(head: float, *, seed: int, host: str, effort: str = "rigorous") -> Judgement:
    record = simulated_record(
        {BASE: 5.0, HEAD: 5.0 * head}, reference=BASE, seed=seed, noise=HOSTS[host], effort=effort, limit=LIMIT
    )
    return judgement_of(record, name="net", limit=LIMIT, base="a", head="b")


def test_equal_revisions_are_never_red_and_a_tenth_more_nearly_always() -> None:
    equal = [judged(1.0, seed=seed, host="bursty").answer for seed in range(6)]
    slower = [judged(1.1, seed=seed, host="bursty").answer for seed in range(6)]
    assert Answer.REGRESSION not in equal
    assert equal.count(Answer.PASS) >= 5
    assert slower.count(Answer.REGRESSION) >= 5


@pytest.mark.nightly
@pytest.mark.timeout(3000)
@pytest.mark.parametrize("host", ["quiet", "bursty", "heavy"])
def test_a_hundred_runs_of_each_kind_are_as_good_as_promised(host: str) -> None:
    equal = [judged(1.0, seed=seed, host=host).answer for seed in range(100)]
    slower = [judged(1.1, seed=seed, host=host).answer for seed in range(100)]
    assert equal.count(Answer.REGRESSION) < 5
    assert slower.count(Answer.REGRESSION) >= 95


def test_what_lies_on_the_limit_is_seldom_decided() -> None:
    answers = [judged(1 + LIMIT, seed=seed, host="quiet", effort="standard").answer for seed in range(4)]
    assert answers.count(Answer.UNDECIDED) >= 3


def test_faster_passes_and_the_slowdown_is_negative() -> None:
    found = judged(0.5, seed=1, host="quiet")
    assert found.answer is Answer.PASS
    assert found.slowdown is not None
    assert found.slowdown.low < found.slowdown.estimate < found.slowdown.high
    assert found.slowdown.estimate == pytest.approx(-0.5, abs=0.02)
    assert found.slowdown.rounds == 5  # the first look is enough


@given(mean=st.floats(-0.5, 0.5), half=st.floats(0.0, 0.3), limit=st.floats(0.001, 0.5), floor=st.floats(0, 0.1))
def test_red_and_pass_are_never_both_true(mean: float, half: float, limit: float, floor: float) -> None:
    found = Interval(mean=mean, low=mean - half, high=mean + half, n=5)
    answer = exceeds(found, limit=limit, floor=floor)
    if answer is True:
        assert found.low > math.log1p(limit)
    if answer is False:
        assert found.high < math.log1p(limit)


def slowdown(exceeds: bool | None, *reasons: str) -> Slowdown:
    return Slowdown(estimate=0.1, low=0.0, high=0.2, exceeds=exceeds, rounds=5, reasons=reasons)


@pytest.mark.parametrize(
    ("found", "answer"),
    [
        (Judgement(name="n", base="a", head="b", slowdown=slowdown(False)), Answer.PASS),
        (Judgement(name="n", base="a", head="b", slowdown=slowdown(True)), Answer.REGRESSION),
        (Judgement(name="n", base="a", head="b", slowdown=slowdown(None)), Answer.UNDECIDED),
        (Judgement(name="n", base="a", head="b", slowdown=slowdown(True, "aa-difference: x")), Answer.INVALID),
        (Judgement(name="n", base="a", head="b"), Answer.INVALID),
        (Judgement(name="n", base="a", head="b", error=TurnkeyError("no")), Answer.INVALID),
        (
            Judgement(
                name="n",
                base="a",
                head="b",
                slowdown=slowdown(False),
                exact=(ExactResult(metric="size", base=1, head=2),),
            ),
            Answer.REGRESSION,
        ),
    ],
)
def test_each_answer_has_its_cause(found: Judgement, answer: Answer) -> None:
    assert found.answer is answer
    assert bool(found.causes) == (answer is not Answer.PASS or found.slowdown is None) or answer is Answer.INVALID


def test_of_several_inputs_a_proven_regression_outweighs_what_is_open() -> None:
    by_answer = {
        Answer.PASS: Judgement(name="n", base="a", head="b", slowdown=slowdown(False)),
        Answer.UNDECIDED: Judgement(name="n", base="a", head="b", slowdown=slowdown(None)),
        Answer.INVALID: Judgement(name="n", base="a", head="b"),
        Answer.REGRESSION: Judgement(name="n", base="a", head="b", slowdown=slowdown(True)),
    }
    assert overall(by_answer.values()) is Answer.REGRESSION
    assert overall([by_answer[Answer.PASS], by_answer[Answer.INVALID], by_answer[Answer.UNDECIDED]]) is Answer.INVALID
    assert overall([by_answer[Answer.PASS], by_answer[Answer.UNDECIDED]]) is Answer.UNDECIDED
    assert overall([by_answer[Answer.PASS]]) is Answer.PASS
    assert overall([]) is Answer.INVALID


@pytest.mark.parametrize(
    ("base", "head", "is_regression"),
    [(1, 1, False), (1, 2, True), (2, 1, False), ("a", "a", False), ("a", "b", True), (None, 1, False)],
)
def test_exact_figures_may_not_grow_and_digests_may_not_change(
    base: int | str | None, head: int | str | None, is_regression: bool
) -> None:
    assert ExactResult(metric="size", base=base, head=head).is_regression is is_regression
