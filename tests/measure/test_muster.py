"""Who starts when: processes import side by side, the slowest first, and load in the order that was drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from turnkey.measure import TargetDescription
from turnkey.measure.crew import LoadReport
from turnkey.measure.muster import Muster, RoundReport
from turnkey.measure.simulated import QUIET, SimulatedHost, SimulatedWorker

IMPORT_NS = {"quick": 1, "slow": 5_000_000_000, "middle": 1_000_000_000}


def test_what_imported_slowest_before_starts_first_and_loading_keeps_its_order() -> None:
    started: list[str] = []
    loaded: list[str] = []
    importing: set[str] = set()
    most_at_once = 0

    class Noted(SimulatedWorker):
        def __init__(self, key: str, **arguments: Any) -> None:
            super().__init__(SimulatedHost(QUIET, seed=1), base=1e6, decay=5, peak_bytes=None, load_ns=1, **arguments)
            self.key = key
            importing.add(key)

        def arrive(self) -> None:
            nonlocal most_at_once
            most_at_once = max(most_at_once, len(importing))
            importing.discard(self.key)

        def load(self) -> LoadReport:
            loaded.append(self.key)
            return replace(super().load(), import_ns=IMPORT_NS[self.key])

    def start(description: TargetDescription, **_: Any) -> Noted:
        started.append(description.key)
        return Noted(description.key)

    muster = Muster(
        descriptions={key: TargetDescription(key=key, factory="a:b") for key in IMPORT_NS},
        threads=dict.fromkeys(IMPORT_NS, 1),
        workers=start,
        write=lambda item: None,
        seed=0,
        at_once=1,
    )
    order = ["quick", "middle", "slow"]
    for number in (1, 2):
        report = RoundReport(number=number)
        muster.gather(order, report)
        for name in order:
            muster.enter(name, report, {})
        muster.end()
    assert started == [*order, "slow", "middle", "quick"]
    assert loaded == order * 2
    assert most_at_once == 2  # one imports, the next one waits for its core
