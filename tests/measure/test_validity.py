"""Every reason of the table by a planted cause, and none without one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from simulated_records import simulated_record

from turnkey.measure import Record, Settings, TargetDescription, run_experiment, validity
from turnkey.measure.environment import Span, pulse, span
from turnkey.measure.plan import Windows
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorkers

CALM = Span(
    seconds=1.0,
    others=0.05,
    steal=0.0,
    throttled=0,
    celsius=50.0,
    governor="performance",
    limit_khz=3_000_000,
    on_mains=True,
)


simulated = partial(simulated_record, reference="a", seed=1, budget_s=1e6)


def codes(record: Record) -> set[str]:
    return {item.code for item in record.reasons}


def spans_like(**changes: Any) -> list[Span]:
    return [CALM, CALM, replace(CALM, **changes)]


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"others": 5.0}, "foreign-load"),
        ({"steal": 0.2}, "steal"),
        ({"throttled": 3}, "quota-throttled"),
        ({"celsius": 61.0}, "temperature"),
        ({"hot": 4}, "temperature"),
        ({"on_mains": False}, "power"),
        ({"governor": "powersave"}, "power"),
        ({"limit_khz": 1_200_000}, "power"),
    ],
)
def test_what_the_host_did_during_the_passes_is_a_reason(changes: dict[str, Any], code: str) -> None:
    found = validity.of_host(spans_like(**changes))
    assert [item.code for item in found] == [code]
    assert found[0].remedy


def test_a_calm_host_gives_no_reason() -> None:
    assert validity.of_host([CALM] * 5) == []
    assert validity.of_host([Span(seconds=1.0)] * 5) == []


def test_a_quiet_simulated_experiment_is_valid() -> None:
    assert codes(simulated({"a": 5.0, "b": 6.0})) == set()


def test_different_thread_counts_spoil_the_verdict_but_not_the_values() -> None:
    targets = [TargetDescription(key=key, factory="simulated:only", threads=n) for key, n in (("a", 1), ("b", 2))]
    record = simulated({"a": 5.0, "b": 6.0}, targets=targets)
    assert codes(record) == {"threads-differ"}
    assert record.summary("a").validity == "VALID"
    found = record.verdict("b")
    assert found is not None
    assert not found.is_valid
    assert codes(simulated({"a": 5.0, "b": 6.0}, targets=targets, compare_threads=True)) == set()


def test_a_runtime_that_takes_other_threads_than_it_was_given_spoils_the_verdict() -> None:
    record = simulated({"a": 5.0, "b": 6.0})

    def took(run: dict[str, Any]) -> None:
        for entry in run["rounds"]:
            for process in entry["processes"]:
                if process["v"] == "b":
                    process["facts"] = {"threads": 4}

    found = edited(record, took)
    (reason,) = found.reasons
    assert reason.code == "threads-differ"
    assert "b: 4" in reason.evidence


def edited(record: Record, change: Callable[[dict[str, Any]], None]) -> Record:
    import copy

    run = copy.deepcopy(dict(record.run))
    change(run)
    return Record(run, record.slices)


def test_most_processes_at_the_cap_of_the_warm_up_mean_no_steady_state() -> None:
    record = simulated({"a": 5.0, "b": 6.0})

    def cap(run: dict[str, Any]) -> None:
        for entry in run["rounds"][:3]:
            for process in entry["processes"]:
                process["settled"] = process["v"] != "b"

    found = edited(record, cap)
    assert {(item.code, item.key) for item in found.reasons} == {("no-steady-state", "b")}
    assert found.summary("b").validity == "INVALID"
    assert found.summary("a").validity == "VALID"


def test_a_variant_that_goes_on_getting_faster_inside_its_rounds_has_no_steady_state() -> None:
    workers = SimulatedWorkers(SimulatedHost(QUIET, seed=1), {"a": 5e6, "b": 6e6}, decays={"b": 700})
    targets = [TargetDescription(key=key, factory="simulated:only") for key in ("a", "b")]
    settings = Settings(seed=1, budget_s=1e6, passes=40)
    record = run_experiment(targets, reference="a", settings=settings, workers=workers)
    assert {(item.code, item.key) for item in record.reasons} == {("no-steady-state", "b")}
    verdict = record.verdict("b")
    assert verdict is not None
    assert not verdict.is_valid


def test_a_twin_that_differs_from_its_original_spoils_every_verdict() -> None:
    record = simulated({"a": 5.0, "b": 6.0})
    shifted = [
        replace(item, ns=tuple(int(value * 1.15) for value in item.ns)) if item.v == "a~twin" else item
        for item in record.slices
    ]
    biased = Record(record.run, shifted)
    assert codes(biased) == {"aa-difference"}
    found = biased.verdict("b")
    assert found is not None
    assert not found.is_valid
    assert biased.summary("b").validity == "VALID"


def test_windows_that_never_agree_are_unstable_in_that_door_only() -> None:
    tight = Windows(measurement_request_count=5, stability_percentage=1e-6, max_trials=4)
    record = simulated({"a": 5.0, "b": 6.0}, windows=tight)
    assert codes(record) == {"unstable"}
    assert not record.windows("a").stable
    assert record.windows("a", Windows(measurement_request_count=20, stability_percentage=30)).stable


def test_passes_are_added_until_the_windows_agree() -> None:
    plain = simulated({"a": 5.0, "b": 6.0}, passes=2)
    longer = simulated({"a": 5.0, "b": 6.0}, passes=2, windows=Windows(measurement_request_count=50))
    assert longer.summary("a").timed_calls > plain.summary("a").timed_calls
    assert longer.windows("a").stable
    assert longer.windows("b").stable


def test_codes_of_the_table_all_have_a_remedy() -> None:
    for code in validity.REASONS:
        assert validity.reason(code, "evidence").remedy


def planted(root: Path, *, busy: int, steal: int, throttled: int) -> None:
    """Files of a kernel, as far as a pulse reads them."""
    (root / "proc/self").mkdir(parents=True, exist_ok=True)
    (root / "proc/stat").write_text(f"cpu  1 1 1 1\ncpu0 {busy} 0 0 100 0 0 0 {steal}\ncpu1 999 0 0 0 0 0 0 9\n")
    (root / "proc/self/cgroup").write_text("0::/box\n")
    (root / "proc/self/mountinfo").write_text("30 1 0:1 / /cg rw - cgroup2 cgroup2 rw\n")
    (root / "cg/box").mkdir(parents=True, exist_ok=True)
    (root / "cg/box/cpu.stat").write_text(f"usage_usec 1\nnr_periods 9\nnr_throttled {throttled}\n")
    supply = root / "sys/class/power_supply/AC"
    supply.mkdir(parents=True, exist_ok=True)
    (supply / "type").write_text("Mains\n")
    (supply / "online").write_text("1\n")
    frequency = root / "sys/devices/system/cpu/cpu0/cpufreq"
    frequency.mkdir(parents=True, exist_ok=True)
    (frequency / "scaling_max_freq").write_text("2400000\n")
    zone = root / "sys/class/thermal/thermal_zone0"
    zone.mkdir(parents=True, exist_ok=True)
    (zone / "temp").write_text("51000\n")


def test_a_pulse_reads_the_kernels_files_and_a_span_their_growth(tmp_path: Path) -> None:
    planted(tmp_path, busy=100, steal=0, throttled=1)
    before = pulse(root=tmp_path, cpus=[0])
    planted(tmp_path, busy=180, steal=10, throttled=4)
    after = pulse(root=tmp_path, cpus=[0])
    assert (after.celsius, after.on_mains, after.limit_khz) == (51.0, True, 2_400_000)
    between = span(replace(before, at=0.0), replace(after, at=1.0), ours_s=0.1)
    assert between.others == pytest.approx(0.7)
    assert between.steal == pytest.approx(0.1)
    assert between.throttled == 3


def test_what_cannot_be_read_is_none_and_no_reason(tmp_path: Path) -> None:
    empty = pulse(root=tmp_path, cpus=[0])
    assert (empty.busy_s, empty.celsius, empty.on_mains, empty.throttled) == (None, None, None, None)
    assert validity.of_host([span(empty, empty, ours_s=0.0)]) == []


def test_a_pass_is_disturbed_by_a_jump_of_steal_not_by_the_usual_one() -> None:
    usual = [Span(seconds=1.0, steal=0.05)] * 5
    assert validity.is_disturbed(Span(seconds=1.0, steal=0.2), usual)
    assert not validity.is_disturbed(Span(seconds=1.0, steal=0.06), usual)
    assert validity.is_disturbed(Span(seconds=1.0, throttled=1), usual)
