"""How many passes a round gets, as an experiment grows."""

from __future__ import annotations

from typing import Any

import numpy as np

from turnkey.measure.budget import Budget
from turnkey.measure.journal import Journal
from turnkey.measure.plan import Settings
from turnkey.measure.round_length import RoundLength
from turnkey.measure.slices import Slice

CALL_NS = 20_000_000
START_NS = 10_000_000_000


def passes(length: RoundLength, cycle: int) -> int:
    bounds = length.bounds(
        {"a": CALL_NS, "b": CALL_NS}, cycle=cycle, last=30, settings=Settings(effort="rigorous"), live=lambda: []
    )
    return bounds.passes


def test_asked_before_every_round_or_once_at_the_end_the_answer_is_the_same() -> None:
    generator = np.random.Generator(np.random.PCG64(7))
    journal = Journal(None)
    journal.begin({"rounds": []})
    budget = Budget(1e6)
    asked_always = RoundLength(journal, budget=budget)
    answers = []
    for r in range(1, 9):
        answers.append(passes(asked_always, r))
        for p in range(answers[-1]):
            for pos, name in enumerate("ab"):
                ns = round(CALL_NS * np.exp(generator.normal(0, 0.1)))
                journal.add(Slice(v=name, r=r, p=p, pos=pos, kind="timed", t0=0, settle=0, ns=(ns,)))
        processes = [{"v": name, "load_ns": START_NS // 2} for name in "ab"]
        journal.run["rounds"].append({"r": r, "passes": answers[-1], "processes": processes})

        assert passes(asked_always, r + 1) == passes(RoundLength(journal, budget=budget), r + 1)
    assert max(answers) > min(answers)


def test_a_round_whose_percentile_is_compared_is_never_cut_short_by_the_budget() -> None:
    journal = Journal(None)
    journal.begin({"rounds": []})
    budget = Budget(1.0)

    def limit(**settings: Any) -> Budget | None:
        length = RoundLength(journal, budget=budget)
        return length.bounds({"a": CALL_NS}, cycle=1, last=5, settings=Settings(**settings), live=lambda: []).budget

    assert limit() is limit(objective="mean") is budget
    assert limit(objective="p99") is None
