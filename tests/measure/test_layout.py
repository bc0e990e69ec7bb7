"""What runs where the full design does not fit: pairs with a yardstick, one at a time, few slow loads."""

from __future__ import annotations

import pytest

from turnkey import host
from turnkey.measure import Record, Settings, TargetDescription, run_experiment
from turnkey.measure.experiment import choose_layout
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorkers

TIMES = {"a": 5e6, "b": 5.6e6, "c": 6.4e6}


def experiment(*, share: float = 0.0, load_ns: int = 1, reference: str | None = "a") -> Record:
    """Every process says that it needs this share of the free memory."""
    peak = int(host.available_memory_bytes() * share) if share else None
    workers = SimulatedWorkers(SimulatedHost(QUIET, seed=2), TIMES, peak_bytes=peak, load_ns=load_ns)
    targets = [TargetDescription(key=key, factory="simulated:only") for key in TIMES]
    return run_experiment(targets, reference=reference, settings=Settings(seed=2, budget_s=1e6), workers=workers)


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
