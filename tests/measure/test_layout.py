"""What runs where the full design does not fit: pairs with a yardstick, one at a time, few slow loads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from turnkey import host
from turnkey.measure import Record, Settings, TargetDescription, run_experiment
from turnkey.measure.layout import choose_layout
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorkers

TIMES = {"a": 5e6, "b": 5.6e6, "c": 6.4e6}


def experiment(
    *,
    share: float = 0.0,
    load_ns: int = 1,
    reference: str | None = "a",
    path: Path | None = None,
    listen: Callable[[str], None] | None = None,
) -> Record:
    """Every process says that it needs this share of the free memory."""
    peak = int(host.available_memory_bytes() * share) if share else None
    workers = SimulatedWorkers(SimulatedHost(QUIET, seed=2), TIMES, peak_bytes=peak, load_ns=load_ns)
    targets = [TargetDescription(key=key, factory="simulated:only") for key in TIMES]
    return run_experiment(
        targets,
        reference=reference,
        settings=Settings(seed=2, budget_s=1e6),
        workers=workers,
        path=path,
        listen=listen,
    )


@pytest.mark.parametrize(
    ("sizes", "layout"),
    [((10, 10, 10), "interleaved"), ((30, 30, 30), "pairs"), ((30, 10, 60), "pairs"), ((60, 60, 10), "contiguous")],
)
def test_the_layout_is_the_best_that_fits_into_memory(sizes: tuple[int, ...], layout: str) -> None:
    needs = dict(zip("abc", sizes, strict=True))
    assert choose_layout(needs, twin="a", room=95) == layout


def test_pairs_are_compared_to_the_yardstick_and_to_each_other() -> None:
    record = experiment(share=0.3)
    assert record.run["layout"] == "pairs"
    assert record.run["yardstick"] == "a"
    together = [{p["v"] for p in entry["processes"]} for entry in record.run["rounds"]]
    assert all(names in ({"a", "b"}, {"a", "c"}) for names in together)
    for key, ratio in (("b", 5 / 5.6), ("c", 5 / 6.4)):
        found = record.verdict(key)
        assert found is not None
        assert found.kind == "SLOWER"
        assert found.is_valid
        assert found.low < ratio < found.high
    between = record.verdict("c", against="b")
    assert between is not None
    assert between.low < 5.6 / 6.4 < between.high


def test_one_at_a_time_gives_values_but_no_valid_verdict() -> None:
    record = experiment(share=0.6)
    assert record.run["layout"] == "contiguous"
    assert record.summary("b").validity == "VALID"
    found = record.verdict("b")
    assert found is not None
    assert not found.is_valid
    assert any("not-interleaved" in note for note in found.notes)


def test_slow_loads_get_three_to_five_rounds() -> None:
    record = experiment(load_ns=int(31e9))
    assert 3 <= len(record.run["rounds"]) <= 5
    assert any("slow-load" in note for note in record.summary("a").notes)


def test_an_interruption_between_the_crews_of_a_cycle_leaves_nobody_out(tmp_path: Path) -> None:
    """Each pair has its round in every cycle, also in the one that the interruption came into."""
    told: list[str] = []

    def interrupted(text: str) -> None:
        told.append(text)
        if text.startswith("round 2 of") and text.endswith("a, c"):
            raise KeyboardInterrupt

    path = tmp_path / "run.zip"
    with pytest.raises(KeyboardInterrupt):
        experiment(share=0.3, path=path, listen=interrupted)
    assert told[-1].startswith("round 2 of")
    record = experiment(share=0.3, path=path)
    stood = Counter((entry["cycle"], p["v"]) for entry in record.run["rounds"] for p in entry["processes"])
    cycles = max(cycle for cycle, _ in stood)
    assert [stood[cycle, "b"] for cycle in (1, 2)] == [stood[cycle, "c"] for cycle in (1, 2)] == [1, 1]
    assert [entry["cycle"] for entry in record.run["rounds"]] == sorted(e["cycle"] for e in record.run["rounds"])
    assert cycles >= 3
