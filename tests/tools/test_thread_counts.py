"""What ``--threads`` takes, and what it comes to on this machine and on others."""

from __future__ import annotations

import pytest

from turnkey import host
from turnkey.tools.thread_counts import parse_threads, thread_counts


@pytest.mark.parametrize(
    ("text", "value", "counts"),
    [("4", 4, (4,)), ("4,1,2,2", "1,2,4", (1, 2, 4)), ("3,3", 3, (3,)), ("auto", "auto", None)],
)
def test_a_count_several_or_auto(text: str, value: int | str, counts: tuple[int, ...] | None) -> None:
    assert parse_threads(text) == value
    if counts is not None:
        assert thread_counts(value) == counts
        assert thread_counts(text) == counts


def test_none_is_left_to_the_engine() -> None:
    assert thread_counts(None) == ()


@pytest.mark.parametrize("text", ["0", "1,0", "-1", "two", "", "1,", "1.5"])
def test_what_is_no_count_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="it must be"):
        parse_threads(text)


@pytest.mark.parametrize(
    ("fair", "affinity", "quota", "counts"),
    [
        (4, 8, None, (2, 4, 8)),  # two hyper-threads per core
        (2, 2, None, (1, 2)),
        (1, 1, None, (1,)),
        (7, 16, 7.65, (3, 7)),  # a quota rounds down
        (1, 16, 0.5, (1,)),
    ],
)
def test_auto_is_half_the_fair_count_the_fair_count_and_every_cpu_allowed(
    monkeypatch: pytest.MonkeyPatch, fair: int, affinity: int, quota: float | None, counts: tuple[int, ...]
) -> None:
    monkeypatch.setattr(host, "fair_threads", lambda: fair)
    monkeypatch.setattr(host, "affinity_cpus", lambda: tuple(range(affinity)))
    monkeypatch.setattr(host, "cgroup_cpu_quota", lambda: quota)
    assert thread_counts("auto") == counts
