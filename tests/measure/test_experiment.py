"""The experiment on real worker processes: what a user sees of a comparison, of a failure, of a resumed record."""

from __future__ import annotations

from itertools import chain, count, repeat
from pathlib import Path

import pytest

from turnkey import host
from turnkey.errors import UsageError
from turnkey.measure import Record, Settings, TargetDescription, environment, run_experiment


def numpy_description(key: str, kernels: int) -> TargetDescription:
    return TargetDescription(
        key=key,
        factory="turnkey.measure.numpy_target:load_numpy",
        arguments={"kernels": kernels, "size": 2000},
        facts={"runtime": "numpy"},
    )


def test_a_twofold_slowdown_is_found_and_the_record_tells_the_same_when_read_again(tmp_path: Path) -> None:
    path = tmp_path / "run.zip"
    record = run_experiment(
        [numpy_description("one", 10), numpy_description("two", 20)],
        reference="two",
        settings=Settings(effort="quick", passes=6),
        path=path,
    )
    verdict = record.verdict("one")
    assert verdict is not None
    assert verdict.kind == "FASTER"
    assert verdict.low > 1.1
    again = Record.load(path)
    assert again.summary("one") == record.summary("one")
    assert again.verdict("one") == verdict
    assert again.sentence() == record.sentence()
    assert not (tmp_path / "run.growing").exists()


def test_iterations_are_exactly_the_timed_calls(tmp_path: Path) -> None:
    record = run_experiment(
        [numpy_description("one", 10)], settings=Settings(effort="quick", iterations=7), path=tmp_path / "run.zip"
    )
    assert record.summary("one").timed_calls == 7


def test_unusable_requests_are_refused_before_anything_starts() -> None:
    one = numpy_description("one", 1)
    with pytest.raises(UsageError, match="nothing to measure"):
        run_experiment([])
    with pytest.raises(UsageError, match="same key"):
        run_experiment([one, one])
    with pytest.raises(UsageError, match="not among the targets"):
        run_experiment([one], reference="other")
    with pytest.raises(UsageError, match="finite and positive"):
        Settings(budget_s=float("nan"))


GIB = 1 << 30


def with_free_memory(monkeypatch: pytest.MonkeyPatch, *bytes_free: int) -> None:
    """What the host says at each question: at first, then before each process that would be loaded beside another."""
    free = chain(bytes_free, repeat(bytes_free[-1]))
    monkeypatch.setattr(host, "available_memory_bytes", lambda **_: next(free))
    monkeypatch.setattr("turnkey.measure.environment.probe", dict)


def test_what_does_not_fit_into_memory_together_is_measured_in_pairs_at_quick_effort_too(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_free_memory(monkeypatch, 8 * GIB, 8 * GIB, 1, 1, 8 * GIB)  # the third would be one too many
    path = tmp_path / "run.zip"
    told: list[str] = []
    record = run_experiment(
        [numpy_description(key, kernels) for key, kernels in (("one", 2), ("two", 4), ("four", 8))],
        reference="one",
        settings=Settings(effort="quick", passes=6),
        path=path,
        listen=told.append,
    )
    assert record.run["layout"] == "pairs"
    assert any("measuring in pairs" in text for text in told)
    assert record.measured == ("one", "two", "four")
    assert not record.reasons or {item.code for item in record.reasons} <= {"foreign-load", "steal"}
    for key in ("two", "four"):
        verdict = record.verdict(key)
        assert verdict is not None
        assert verdict.kind == "SLOWER"
        assert verdict.rounds == 1
        assert any("single-process" in note for note in record.summary(key).notes)
    between = record.verdict("four", against="two")
    assert between is not None
    assert between.kind == "SLOWER"
    assert Record.load(path).verdict("four", against="two") == between


def test_what_does_not_even_fit_in_pairs_gives_values_but_no_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    with_free_memory(monkeypatch, 8 * GIB, 1)
    record = run_experiment(
        [numpy_description(key, 4) for key in ("one", "two")], settings=Settings(effort="quick", passes=2)
    )
    assert record.run["layout"] == "contiguous"
    assert record.measured == ("one", "two")
    assert all(record.summary(key).error is None for key in record.measured)
    assert "not-interleaved" in {item.code for item in record.reasons}
    assert record.verdict("two", against="one") is None


def test_break_even_energy_and_course_are_told_for_real_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = count()
    monkeypatch.setattr(environment, "joules", lambda: next(ticks) * 0.5)
    record = run_experiment(
        [numpy_description("one", 10), numpy_description("two", 20)],
        reference="two",
        settings=Settings(effort="quick", passes=4),
    )
    summary = record.summary("one")
    assert summary.joules_per_call is not None
    assert summary.joules_per_call > 0
    assert summary.course in ("flat", "warm-up", "slowdown", "no steady state")
    assert record.break_even_calls("one") is not None
    assert record.break_even_calls("two") == 0
