"""The tool doctor, and the acceptance that it runs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from turnkey.measure import Record, Settings, TargetDescription, acceptance, checkup, run_experiment
from turnkey.measure.acceptance import Certificate
from turnkey.measure.environment import Span
from turnkey.measure.simulated import HOSTS, SimulatedHost, SimulatedWorkers
from turnkey.pipeline.tool import ManagementContext
from turnkey.tools.doctor import Doctor


def on_host(name: str, *, planted: float = 1.05) -> Any:
    """The engine on a simulated host; the second of a planted pair takes ``planted`` times as long."""

    def measure(pair: Sequence[TargetDescription], *, reference: str, settings: Settings) -> Record:
        ratio = planted if pair[1].arguments["kernels"] > pair[0].arguments["kernels"] else 1.0
        times = {pair[0].key: 5e6, pair[1].key: 5e6 * ratio}
        workers = SimulatedWorkers(SimulatedHost(HOSTS[name], seed=settings.seed), times)
        return run_experiment(pair, reference=reference, settings=settings, workers=workers)

    return measure


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "watch_host", lambda: Span(seconds=2.0, others=0.7, steal=0.0, throttled=0))


def context(tmp_path: Path, *, as_json: bool = False) -> ManagementContext:
    return ManagementContext(cache_dir=str(tmp_path), as_json=as_json, globals={})


def test_a_quiet_host_is_accepted_and_one_where_nothing_is_found_is_not() -> None:
    accepted = acceptance.accept(comparisons=12, measure=on_host("quiet"))
    assert accepted.is_accepted
    assert accepted.found == 12
    blind = acceptance.accept(comparisons=5, measure=on_host("quiet", planted=1.0))
    assert not blind.is_accepted


def test_fewer_planted_differences_than_equal_things_are_judged_by_their_own_number() -> None:
    found = acceptance.accept(comparisons=3, planted_comparisons=2, measure=on_host("quiet"))
    assert (found.planted, found.found) == (2, 2)
    assert found.is_accepted
    assert any("2 of 2 (100%" in line for line in found.lines())


def test_a_single_wrong_direction_is_never_accepted() -> None:
    found = acceptance.accept(comparisons=4, measure=on_host("quiet", planted=0.9))
    assert found.wrong_directions == 4
    assert not found.is_accepted


def test_the_exit_code_says_whether_the_host_was_accepted_and_the_certificate_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for found, code in ((39, 0), (30, 1)):
        certificate = Certificate(
            comparisons=40,
            planted=40,
            false_verdicts=1,
            found=found,
            wrong_directions=0,
            floor=0.01,
            host=acceptance.host_name(),
            version=acceptance.__version__,
        )
        monkeypatch.setattr(acceptance, "accept", lambda certificate=certificate, **_: certificate)
        assert Doctor().manage(context(tmp_path), noise=True) == code
        assert acceptance.load(tmp_path) == certificate
    assert Doctor().manage(context(tmp_path)) == 0  # showing is no failure
    assert "NOT ACCEPTED" in capsys.readouterr().out.splitlines()[-1]


def test_a_certificate_of_another_host_or_a_broken_one_is_not_shown(tmp_path: Path) -> None:
    other = Certificate(
        comparisons=1,
        planted=1,
        false_verdicts=0,
        found=1,
        wrong_directions=0,
        floor=None,
        host="elsewhere",
        version="0",
    )
    acceptance.save(other, tmp_path)
    assert acceptance.load(tmp_path) is None
    (tmp_path / "noise_certificate.json").write_text("{")
    assert acceptance.load(tmp_path) is None


def test_what_disturbs_is_named_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Doctor().manage(context(tmp_path)) == 0
    shown = capsys.readouterr().out
    assert "BAD   load" in shown
    assert "do: stop the other programs" in shown
    assert "turnkey doctor --noise" in shown


def test_json_holds_the_same_findings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert Doctor().manage(context(tmp_path, as_json=True)) == 0
    document = json.loads(capsys.readouterr().out)
    assert {"topic", "level", "text", "remedy"} == set(document["findings"][0])
    assert document["noise"] is None


def test_a_machine_on_battery_with_a_powersaving_governor_is_told(tmp_path: Path) -> None:
    supply = tmp_path / "sys/class/power_supply/AC"
    supply.mkdir(parents=True)
    (supply / "type").write_text("Mains\n")
    (supply / "online").write_text("0\n")
    governor = tmp_path / "sys/devices/system/cpu/cpu0/cpufreq"
    governor.mkdir(parents=True)
    (governor / "scaling_governor").write_text("powersave\n")
    calm = Span(seconds=1.0, others=0.0, steal=0.0)
    found = {item.topic: item for item in checkup.checkup(root=tmp_path, watch=lambda: calm)}
    assert found["power"].level == "bad"
    assert "cpupower" in found["frequency"].remedy
    assert found["load"].level == "good"


def test_the_clock_and_whether_peers_can_be_stopped_are_tried_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = {item.topic: item for item in checkup.checkup(root=tmp_path)}
    assert "ns" in found["clock"].text
    assert found["peers"].level == "good"  # a process can be stopped where these tests run

    def forbidden(group: int, number: int) -> None:
        raise PermissionError("not in this sandbox")

    monkeypatch.setattr(checkup.os, "killpg", forbidden)
    assert {item.topic: item for item in checkup.checkup(root=tmp_path)}["peers"].level == "note"
