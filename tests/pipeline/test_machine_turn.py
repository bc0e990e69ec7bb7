"""Turns on the machine: builders together, a measurement alone, and nobody waits for ever."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from turnkey.pipeline import machine_turn as module
from turnkey.pipeline.machine_turn import machine_turn

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the kernel's locks of file descriptions")


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "machine.lock"
    monkeypatch.setenv("TURNKEY_MACHINE_LOCK", str(path))
    return path


class Other:
    """Another process that takes a turn, says when it has one, and keeps it until it is let go."""

    def __init__(self, *, measures: bool, cpus: tuple[int, ...] = (0, 1)) -> None:
        text = textwrap.dedent(f"""
            import sys
            from turnkey.pipeline.machine_turn import machine_turn
            def say(holders):
                print("waits", *holders, flush=True)
            with machine_turn(measures={measures}, cpus={cpus}, on_wait=say):
                print("in", flush=True)
                sys.stdin.readline()
            print("out", flush=True)
            """)
        self.process = subprocess.Popen(
            [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def says(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def leave(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()


@pytest.fixture
def others() -> Iterator[list[Other]]:
    started: list[Other] = []
    yield started
    for other in started:
        other.process.kill()
        other.process.communicate()


def enter(others: list[Other], **how: object) -> Other:
    others.append(Other(**how))  # type: ignore[arg-type]
    return others[-1]


def test_builders_work_together_and_a_measurement_waits_for_them(others: list[Other]) -> None:
    first, second = enter(others, measures=False), enter(others, measures=False)
    assert (first.says(), second.says()) == ("in", "in")
    measurement = enter(others, measures=True)
    assert measurement.says().startswith("waits")

    first.leave()
    assert first.says() == "out"
    second.leave()

    assert measurement.says() == "in"


def test_who_waits_is_told_who_has_the_turn(others: list[Other]) -> None:
    measurement = enter(others, measures=True)
    assert measurement.says() == "in"

    assert enter(others, measures=False).says() == f"waits {measurement.process.pid}"


def test_a_waiting_measurement_keeps_new_builders_out(others: list[Other]) -> None:
    builder = enter(others, measures=False)
    assert builder.says() == "in"
    measurement = enter(others, measures=True)
    assert measurement.says().startswith("waits")
    late = enter(others, measures=False)
    assert late.says().startswith("waits")

    builder.leave()
    assert measurement.says() == "in"
    measurement.leave()

    assert late.says() == "in"


def test_a_killed_measurement_gives_its_turn_back(others: list[Other]) -> None:
    measurement = enter(others, measures=True)
    assert measurement.says() == "in"
    builder = enter(others, measures=False)
    assert builder.says().startswith("waits")

    measurement.process.kill()

    assert builder.says() == "in"


def test_measurements_on_different_processors_do_not_meet(others: list[Other]) -> None:
    first, second = enter(others, measures=True, cpus=(0, 2)), enter(others, measures=True, cpus=(1, 3))

    assert (first.says(), second.says()) == ("in", "in")
    assert enter(others, measures=False, cpus=(3,)).says().startswith("waits")


def test_a_program_started_within_a_turn_works_within_it() -> None:
    text = "from turnkey.pipeline.machine_turn import *\nwith machine_turn(measures=True, cpus=(0,)): print('in')"
    with machine_turn(measures=False, cpus=(0,)):
        done = subprocess.run(
            [sys.executable, "-c", text],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
            stdin=subprocess.DEVNULL,
        )
    assert done.stdout == "in\n"


def test_a_turn_inside_a_turn_of_this_process_is_part_of_it(others: list[Other]) -> None:
    with machine_turn(measures=False, cpus=(0,)), machine_turn(measures=True, cpus=(0,)):
        pass
    assert enter(others, measures=True, cpus=(0,)).says() == "in"


def test_a_file_that_cannot_be_opened_is_said_and_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TURNKEY_MACHINE_LOCK", str(tmp_path / "missing" / "lock"))
    told: list[str] = []

    with machine_turn(measures=True, tell=told.append):
        pass

    assert "may be disturbed" in told[0]


def test_an_empty_variable_switches_turns_off(own_lock: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNKEY_MACHINE_LOCK", "")

    with machine_turn(measures=True):
        pass

    assert not own_lock.exists()


def test_who_waits_sleeps(others: list[Other]) -> None:
    assert enter(others, measures=True).says() == "in"
    waiting = enter(others, measures=False)
    assert waiting.says().startswith("waits")
    stat = Path(f"/proc/{waiting.process.pid}/stat")

    def ticks() -> int:
        fields = stat.read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12])

    before = ticks()
    time.sleep(0.5)

    assert ticks() == before


@pytest.mark.parametrize(
    ("cpus", "ranges"), [((), []), ((0,), [(0, 1)]), ((3, 0, 1), [(0, 2), (3, 1)]), (range(8), [(0, 8)])]
)
def test_processors_are_taken_in_ranges_of_neighbours(cpus: tuple[int, ...], ranges: list[tuple[int, int]]) -> None:
    assert list(module._ranges(cpus)) == ranges


def test_no_descriptor_is_left_open() -> None:
    before = len(os.listdir("/proc/self/fd"))
    with machine_turn(measures=True):
        pass
    assert len(os.listdir("/proc/self/fd")) == before
