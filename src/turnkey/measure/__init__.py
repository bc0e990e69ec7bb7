"""The measuring engine: which candidate is faster here, by how much, and how sure are we?

Public names are imported when they are used: a worker process imports this package before its runtime, and its
start is the cost of every round.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnkey.measure.climb import Climb as Climb
    from turnkey.measure.climb import LadderResult as LadderResult
    from turnkey.measure.climb import run_ladder as run_ladder
    from turnkey.measure.experiment import run_experiment as run_experiment
    from turnkey.measure.inprocess import run_in_process as run_in_process
    from turnkey.measure.ladder import LadderRule as LadderRule
    from turnkey.measure.ladder import Rung as Rung
    from turnkey.measure.ladder import Stop as Stop
    from turnkey.measure.load import Shape as Shape
    from turnkey.measure.load_experiment import run_load as run_load
    from turnkey.measure.load_result import LoadResult as LoadResult
    from turnkey.measure.plan import Settings as Settings
    from turnkey.measure.plan import Windows as Windows
    from turnkey.measure.record import Record as Record
    from turnkey.measure.summary import CandidateSummary as CandidateSummary
    from turnkey.measure.target import Target as Target
    from turnkey.measure.target import TargetDescription as TargetDescription
    from turnkey.measure.verdict import Verdict as Verdict

_HOMES = {
    "Climb": "climb",
    "LadderResult": "climb",
    "LadderRule": "ladder",
    "Rung": "ladder",
    "Stop": "ladder",
    "run_ladder": "climb",
    "LoadResult": "load_result",
    "Shape": "load",
    "Windows": "plan",
    "run_experiment": "experiment",
    "run_in_process": "inprocess",
    "run_load": "load_experiment",
    "Settings": "plan",
    "Record": "record",
    "CandidateSummary": "summary",
    "Target": "target",
    "TargetDescription": "target",
    "Verdict": "verdict",
}

__all__ = [
    "CandidateSummary",
    "Climb",
    "LadderResult",
    "LadderRule",
    "LoadResult",
    "Record",
    "Rung",
    "Settings",
    "Shape",
    "Stop",
    "Target",
    "TargetDescription",
    "Verdict",
    "Windows",
    "run_experiment",
    "run_in_process",
    "run_ladder",
    "run_load",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
