"""What a strategy chooses among: runners whose outputs are right, that were profiled, and that no function refused.

Pure: a status in; candidates, and the reason against everything else, out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    VERIFY,
    CommandStatus,
    ModelStatus,
    Rung,
    RunnerStatus,
    Status,
)
from turnkey.verify import precision_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One runner of one model that may be chosen; at least one rung."""

    model: ModelStatus
    runner: RunnerStatus

    @property
    def key(self) -> str:
        """``onnx @ OnnxCPU``."""
        return f"{self.model.model_config.key} @ {self.runner.runner_name}"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return self.runner.rungs

    @property
    def memory_bytes(self) -> float:
        """Largest peak of its process; infinite where it is not known."""
        return max((rung.peak_memory_bytes or math.inf for rung in self.rungs), default=math.inf)

    @property
    def is_lossy(self) -> bool:
        """Whether it computes in a lower precision than the source, as its key says: ``trt-fp16``."""
        return precision_of(self.model.model_config.key) is not None

    @property
    def size_bytes(self) -> int:
        """Of its file; 0 for a source in memory."""
        return self.model.size_bytes

    @property
    def load_ms(self) -> float:
        """Longest of its rungs; infinite where it is not known."""
        return max((math.inf if rung.load_ms is None else rung.load_ms for rung in self.rungs), default=math.inf)

    @property
    def max_atol(self) -> float:
        """Largest absolute difference of any output; infinite where it is not known."""
        return max((each.atol or 0.0 for each in self.runner.tolerances), default=math.inf)

    @property
    def max_rtol(self) -> float:
        """Largest relative difference of any output; infinite where it is not known."""
        return max((each.rtol or 0.0 for each in self.runner.tolerances), default=math.inf)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Those that may be chosen, and why the others may not, by key."""

    entries: tuple[Candidate, ...]
    excluded: dict[str, str] = field(default_factory=dict)


def candidates_of(status: Status, *, include_source: bool = True) -> Candidates:
    """The candidates of a package."""
    entries: list[Candidate] = []
    excluded: dict[str, str] = {}
    for key, model in status.models.items():
        for run in model.commands.values():
            if run.status not in (CommandStatus.OK, CommandStatus.NOOP):
                excluded[key] = f"{run.status.value}: {run.reason}" if run.reason else run.status.value
        for name, runner in model.runners_status.items():
            reason = _exclusion(runner)
            if not reason and model.model_config.format.is_source and not include_source:
                reason = "it is the source model, which is left out"
            if reason:
                excluded[f"{key} @ {name}"] = reason
            else:
                entries.append(Candidate(model=model, runner=runner))
    return Candidates(entries=tuple(entries), excluded=excluded)


def _exclusion(runner: RunnerStatus) -> str:
    """Why a runner is no candidate; empty if it is one."""
    for command in (CORRECTNESS, PERFORMANCE):
        if runner.ended(command) is not CommandStatus.OK:
            run = runner.commands.get(command)
            reason = "" if run is None else run.reason
            return f"{command} {runner.ended(command).value}" + (f": {reason}" if reason else "")
    if runner.ended(VERIFY) is CommandStatus.FAIL:
        return f"{VERIFY} FAIL: {runner.commands[VERIFY].reason}"
    return "" if runner.rungs else "it was not profiled"
