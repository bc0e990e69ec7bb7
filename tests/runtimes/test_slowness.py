"""Why one candidate is slower: findings from two profiles."""

from __future__ import annotations

import pytest

from turnkey.runtimes.profile import OperatorTime, Profile
from turnkey.runtimes.slowness import findings, headline


def operators(**milliseconds):
    return tuple(
        OperatorTime(operator=name.partition("_")[0], node=name, layer=f"layers.{index}", microseconds=1000 * value)
        for index, (name, value) in enumerate(milliseconds.items())
    )


def profile(key="slow", *, call_ms=4.0, cpu_ms=8.0, threads=2, fallback=None, **milliseconds):
    return Profile(
        key=key,
        operators=operators(**milliseconds),
        call_ms=call_ms,
        cpu_ms=cpu_ms,
        threads=threads,
        fallback=fallback,
    )


FAST = profile("fast", call_ms=1.0, cpu_ms=2.0, MatMul=1.0)


def first_line(slow):
    found = findings(slow, FAST)
    assert all(finding.remedy for finding in found)
    return headline(slow, FAST, found)


def test_casts_are_named_with_their_share_and_place():
    line = first_line(profile(MatMul=1.0, Cast_1=2.0, Cast_2=1.0))
    assert "slow is 4.0 times slower than fast: casts: 2 of them take 75% of its time" in line
    assert "layers.1 and layers.2" in line


def test_transposes_and_reorderings_are_one_cause():
    assert "transposes: 2 of them take 75%" in first_line(profile(MatMul=1.0, Transpose=2.0, Reorder=1.0))


def test_one_thread_is_named_where_the_other_has_more():
    line = first_line(profile(cpu_ms=4.0, threads=1, MatMul=4.0))
    assert "one thread: it was given 1, the other 2" in line


def test_a_fall_back_comes_before_everything_that_follows_from_it():
    slow = profile(fallback="CUDAExecutionProvider is not available here", cpu_ms=4.0, threads=1, Cast=3.0, MatMul=1.0)
    found = findings(slow, FAST)
    assert found[0].cause == "fall-back"
    assert len(found) > 1
    assert "provider fall-back: CUDAExecutionProvider" in headline(slow, FAST, found)


def test_threads_that_idle_are_told_from_threads_that_were_not_given():
    line = first_line(profile(cpu_ms=4.0, threads=2, MatMul=1.0))
    assert "idle threads: it keeps 1.0 of 2 threads busy" in line


def test_a_slower_layer_is_named_by_its_module():
    slow = Profile(
        key="slow",
        operators=(OperatorTime(operator="Conv", node="c", layer="stem.conv", microseconds=3000),),
        call_ms=4.0,
        cpu_ms=8.0,
        threads=2,
    )
    assert "layer stem.conv (Conv): 3 ms against 0 ms" in first_line(slow)


def test_what_is_not_slower_is_said_to_be_so():
    assert "is not slower than fast" in headline(FAST, FAST, findings(FAST, FAST))


def test_without_a_single_cause_the_line_says_that():
    slow = profile(call_ms=1.5, cpu_ms=3.0)
    assert "no single cause" in headline(slow, FAST, findings(slow, FAST))


def test_causes_of_all_kinds_are_ordered_by_the_time_that_they_explain():
    found = findings(profile(call_ms=50.0, cpu_ms=100.0, MatMul=48.0, Cast=2.0), FAST)
    assert [finding.cause for finding in found] == ["layer", "casts"]


def test_a_cause_that_is_a_trifle_of_what_the_operators_take_is_not_told():
    found = findings(profile(call_ms=4.0, MatMul=10.0, Cast=0.2), FAST)
    assert [finding.cause for finding in found] == ["layer"]


@pytest.mark.parametrize(
    ("slow", "evidence"),
    [
        (profile(call_ms=4.0, MatMul=142.0, Cast=0.06), "its operators took 142 ms in a call with the profiler"),
        (profile(call_ms=4.0, cpu_ms=56.8, MatMul=4.0), "14.2 threads seemed busy, it was given 2"),
    ],
)
def test_from_a_look_that_was_disturbed_nothing_is_concluded(slow, evidence):
    [found] = findings(slow, FAST)
    assert found.cause == "disturbed"
    assert "the look at slow was disturbed" in found.sentence
    assert evidence in found.sentence
    assert "quiet machine" in found.remedy
