"""How far a run of a sequence is: the state so far, a status per step, and what of it is on disk.

After each tool statistics and state are written, in this order: the state file is what says that a tool has finished,
so a process killed between the two repeats that tool and overwrites its statistics.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import write_state
from turnkey.pipeline.statistics import error_excerpt, now, write_statistics
from turnkey.pipeline.tool import Steps

_Step = tuple[str, Mapping[str, Any], str]


@dataclass(slots=True, kw_only=True)
class RunProgress:
    """What changes while a state goes through the tools of a sequence.

    Attributes:
        steps: of the sequence; ``names`` are those of their logs and keys.
        state: after the last tool.
        statuses: one per step; at first none has been started.
        before: steps of earlier runs of a build that is continued.
        history: entries of earlier runs.
        started: time of this run.
        reason: of the last tool that did not succeed.
    """

    steps: Steps
    names: tuple[str, ...]
    state: State
    statuses: list[str] = field(default_factory=list)
    before: tuple[_Step, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    started: str = field(default_factory=now)
    reason: str = ""

    def __post_init__(self) -> None:
        self.statuses = self.statuses or ["not_started"] * len(self.steps)

    @classmethod
    def resumed(cls, state: State, *, steps: Steps, names: tuple[str, ...], finished: int) -> RunProgress:
        """A run that was interrupted goes on after so many steps; it stays one entry of the history."""
        before = state.sequence[: -len(steps)]
        done = [status for _, _, status in state.sequence[len(before) :]][:finished]
        statuses = [*done, *["not_started"] * (len(steps) - finished)]
        return cls(steps=steps, names=names, state=state, statuses=statuses, before=before, history=state.history[:-1])

    @property
    def tools(self) -> list[str]:
        """Names of all tools of the build, those of earlier runs included."""
        return [*(tool for tool, _, _ in self.before), *(tool for tool, _ in self.steps)]

    @property
    def is_skipped(self) -> bool:
        """Whether nothing came in, so that there is nothing for the other tools."""
        return self.statuses[0] == "skipped"

    def note(
        self,
        index: int,
        status: str,
        *,
        reason: str,
        seconds: float,
        peak_bytes: int,
        failure: Failure | None = None,
        is_reused: bool = False,
    ) -> None:
        """Keep in statuses and statistics how a tool ended.

        Args:
            seconds: of its work, whenever that was done: estimates and reports rest on it.
        """
        name = self.names[index]
        self.statuses[index] = status
        self.reason = reason or self.reason
        matters = status in ("error", "killed") or (status == "skipped" and index == 0)
        hits = [*self.state.statistics.get("reused_tools", ()), *([name] if is_reused else [])]
        self.state = self.state.with_statistics(
            **{
                f"tool_status:{name}": status,
                f"tool_duration:{name}": round(seconds, 6),
                f"tool_peak_memory:{name}": peak_bytes,
                "reused_tools": hits or None,
                "reason": reason if matters else None,
                "error_log": error_excerpt(failure.text) if failure else None,
            }
        )

    def write_after(self, index: int, failure: Failure | None) -> None:
        """Write what a tool has left; the next one is marked as the one at work. Raises like `write`."""
        if failure is not None:
            self.write("error")
        elif self.is_skipped:
            self.write("skipped")
        elif index == len(self.steps) - 1:
            self.write("successful")
        else:
            self.statuses[index + 1] = "incomplete"
            self.write("incomplete")

    def write(self, status: str) -> None:
        """Write statistics and state of the build.

        Raises:
            InputError: the files cannot be written.
            TypeError: the state holds something that has no plain form.
        """
        steps = [[name, dict(arguments)] for name, arguments in self.steps]
        pairs = zip(self.steps, self.statuses, strict=True)
        mine = tuple((name, arguments, done) for (name, arguments), done in pairs)
        self.state = replace(
            self.state.with_statistics(build_status=status),
            build_status=status,
            sequence=(*self.before, *mine),
            history=(*self.history, {"sequence": steps, "status": status, "time": self.started}),
        )
        write_statistics(BuildPaths(self.state.cache_dir, self.state.build_name), self.state.statistics)
        write_state(self.state)
