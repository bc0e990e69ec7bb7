"""A load that was interrupted goes on where it stopped, on workers whose answers follow from what they are asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from turnkey.measure import LoadResult, Shape, TargetDescription, journal, run_load
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorker

TARGET = TargetDescription(key="a", factory="simulated:only")
SHAPES = {
    "server": Shape(kind="server", bound_ms=50.0, quantile=0.9, rounds=2),
    "concurrency": Shape(kind="concurrency", clients=(1, 2, 4)),
    "offline": Shape(kind="offline"),
}
SERVICE_NS = 10_000_000


class Station(SimulatedWorker):
    """Serves one query after another, each in the same time; ``asked`` is told every load that begins."""

    def __init__(self, asked: Callable[[Mapping[str, Any]], None]) -> None:
        super().__init__(SimulatedHost(QUIET, seed=1), base=SERVICE_NS, decay=5, peak_bytes=None, load_ns=1)
        self._asked = asked

    def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
        self._asked({"kind": kind, **arguments})
        if kind == "offline":
            return {"items": 100, "elapsed": 100 * SERVICE_NS}
        if kind == "concurrency":
            calls = [SERVICE_NS * i for i in range(50)]
            return {"starts": [calls] * arguments["clients"], "durations": [[SERVICE_NS] * 50] * arguments["clients"]}
        free, latencies = 0, []
        for offset in arguments["offsets"]:
            free = max(free, offset) + SERVICE_NS
            latencies.append(free - offset)
        return {"latencies": latencies, "late_sends": 0}


def carried(
    shape: Shape, path: Path | None, *, until: int | None = None, told: list[str] | None = None
) -> tuple[LoadResult | None, list[Mapping[str, Any]]]:
    """The result, and every load that began; interrupted when so many trials are done."""
    asked: list[Mapping[str, Any]] = []
    number = count()

    def begin(load: Mapping[str, Any]) -> None:
        if next(number) == until:
            raise KeyboardInterrupt
        asked.append(load)

    arguments: dict[str, Any] = {"workers": lambda *_, **__: Station(begin), "path": path}
    try:
        return run_load(TARGET, shape, listen=None if told is None else told.append, **arguments), asked
    except KeyboardInterrupt:
        return None, asked


def alike(found: LoadResult | None) -> LoadResult:
    """Without the numbers of the processes: a continued load has one more."""
    assert found is not None
    return replace(found, trials=tuple(replace(trial, round=0) for trial in found.trials))


@pytest.mark.parametrize("kind", SHAPES)
def test_wherever_it_was_interrupted_a_load_makes_only_the_trials_that_are_missing(kind: str, tmp_path: Path) -> None:
    whole, all_asked = carried(SHAPES[kind], None)
    assert len(all_asked) >= 3
    for done in {0, 1, 2, len(all_asked) // 2, len(all_asked) - 1}:
        path, told = tmp_path / f"{done}.zip", []
        assert carried(SHAPES[kind], path, until=done)[0] is None
        found, asked = carried(SHAPES[kind], path, told=told)
        assert told[0] == f"continuing an unfinished record after {done} trials"
        assert asked == all_asked[done:]
        assert alike(found) == alike(whole)
        assert LoadResult.load(path) == found
        rounds = [trial.round for trial in found.trials] if found else []
        assert rounds == sorted(rounds)
        assert not journal.growing_directory(path).exists()


@pytest.mark.parametrize("share", [0.0, 0.3, 0.99])
def test_of_samples_that_were_cut_the_whole_trials_are_kept(share: float, tmp_path: Path) -> None:
    whole, all_asked = carried(SHAPES["concurrency"], None)
    path = tmp_path / "load.zip"
    carried(SHAPES["concurrency"], path, until=2)
    samples = journal.growing_directory(path) / journal.SAMPLES
    samples.write_bytes(samples.read_bytes()[: int(share * samples.stat().st_size)])
    found, asked = carried(SHAPES["concurrency"], path)
    assert asked == all_asked[1 if share > 0.3 else 0 :]
    assert alike(found) == alike(whole)


def test_a_load_of_another_plan_begins_anew(tmp_path: Path) -> None:
    path, told = tmp_path / "load.zip", []
    carried(SHAPES["server"], path, until=3)
    wider = replace(SHAPES["server"], bound_ms=60.0)
    found, asked = carried(wider, path, told=told)
    assert not any("continuing" in text for text in told)
    assert found == carried(wider, None)[0]
    assert len(asked) == len(found.trials) if found else False
