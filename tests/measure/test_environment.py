"""What a probe tells about this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from turnkey.measure import environment


def test_the_probe_is_plain_json_and_names_what_it_could_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush")
    facts = environment.probe()
    text = json.dumps(facts, allow_nan=False)
    assert facts["fair_threads"] >= 1
    assert facts["variables"]["OMP_NUM_THREADS"] == "3"
    assert "hush" not in text
    missing = {name for name, value in facts.items() if value is None}
    assert missing == set(facts["unreadable"])


def test_energy_is_the_sum_of_the_packages_without_their_parts(tmp_path: Path) -> None:
    assert environment.joules(root=tmp_path) is None
    for name, microjoules in (("intel-rapl:0", 5_000_000), ("intel-rapl:1", 2_000_000), ("intel-rapl:0:0", 9_000_000)):
        zone = tmp_path / "sys/class/powercap" / name
        zone.mkdir(parents=True)
        (zone / "energy_uj").write_text(f"{microjoules}\n")
    assert environment.joules(root=tmp_path) == 7.0
    (tmp_path / "sys/class/powercap/intel-rapl:1/energy_uj").unlink()
    assert environment.joules(root=tmp_path) is None


def test_caches_battery_and_heat_are_read_from_the_kernels_files(tmp_path: Path) -> None:
    index = tmp_path / "sys/devices/system/cpu/cpu0/cache/index3"
    index.mkdir(parents=True)
    for name, text in (("level", "3"), ("type", "Unified"), ("size", "32768K")):
        (index / name).write_text(text + "\n")
    battery = tmp_path / "sys/class/power_supply/BAT0"
    battery.mkdir(parents=True)
    (battery / "type").write_text("Battery\n")
    (battery / "status").write_text("Discharging\n")
    throttle = tmp_path / "sys/devices/system/cpu/cpu0/thermal_throttle"
    throttle.mkdir(parents=True)
    (throttle / "core_throttle_count").write_text("12\n")
    facts = environment.probe(root=tmp_path)
    assert facts["caches"] == {"L3 Unified": "32768K"}
    assert facts["on_mains"] is False
    assert environment.pulse(root=tmp_path, cpus=[0]).hot == 12


@pytest.mark.parametrize(
    ("place", "text", "turbo"),
    [
        ("intel_pstate/no_turbo", "0", True),
        ("intel_pstate/no_turbo", "1", False),
        ("cpufreq/boost", "1", True),
        ("cpufreq/boost", "0", False),
        ("other", "1", None),
    ],
)
def test_turbo_is_read_from_either_driver(tmp_path: Path, place: str, text: str, turbo: bool | None) -> None:
    file = tmp_path / "sys/devices/system/cpu" / place
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert environment.probe(root=tmp_path)["turbo"] is turbo
