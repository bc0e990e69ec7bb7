"""How one input ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import Event
from turnkey.pipeline.failure import FAILED, Failure
from turnkey.pipeline.sequence import INTERRUPTED
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state

SUBMITTED = "incomplete"
"""Status of an input whose job was submitted and is not waited for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One input's result.

    Attributes:
        input: as the user named it.
        status: ``successful``, ``skipped``, ``error``, ``timeout``, ``killed``; ``not_started`` after an interruption,
            ``incomplete`` for a job that is not waited for.
        build_name, cache_dir: of its build; the name is empty if none could be made.
        state: as the build's files say, without the live model; None if there is none.
        reason: why it is not successful, in one line.
        failure: what failed, with tracebacks.
        seconds: from its start to its end.
    """

    input: str
    status: str
    build_name: str = ""
    cache_dir: Path
    state: State | None = None
    reason: str = ""
    failure: Failure | None = None
    seconds: float = 0.0

    @classmethod
    def of(cls, item: WorkItem, status: str, **fields: Any) -> Result:
        """The result of a work item; ``fields`` are further attributes."""
        return cls(
            input=item.input, status=status, build_name=item.build_name, cache_dir=Path(item.cache_dir), **fields
        )

    @classmethod
    def failed(cls, item: WorkItem, error: TurnkeyError) -> Result:
        """The result of an item that could not even be begun."""
        return cls.of(item, "error", reason=error.what, failure=Failure.of(error))

    def with_stored_state(self) -> Result:
        """The same with the state in the build's files; an input that failed before its first write has none."""
        try:
            return replace(self, state=load_state(state_path=BuildPaths(self.cache_dir, self.build_name).state))
        except TurnkeyError:
            return replace(self, state=None)

    @property
    def finished_event(self) -> Event:
        """What is told when the input has ended."""
        return Event(
            kind="input-finished",
            input=self.input,
            build_name=self.build_name,
            status=self.status,
            text=self.reason,
            seconds=self.seconds,
        )

    @property
    def was_interrupted(self) -> bool:
        """Whether Ctrl-C ended it, and nothing of its own."""
        return self.status == "killed" and self.reason == INTERRUPTED

    @property
    def build_dir(self) -> Path | None:
        """Directory with everything that is known; None if there is none."""
        return self.cache_dir / self.build_name if self.build_name else None

    @property
    def error(self) -> TurnkeyError | None:
        """The three-part error; None if nothing failed."""
        return self.failure.error if self.failure else None

    @property
    def model_hash(self) -> str:
        """The eight digits that users see; empty if no model is known."""
        return self.state.model_hash[:8] if self.state else ""

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for ``--json``, ``results/<n>.json`` and a worker's pipe; the state is in its own file."""
        return {
            "input": self.input,
            "status": self.status,
            "build_name": self.build_name,
            "cache_dir": str(self.cache_dir),
            "hash": self.model_hash,
            "reason": self.reason,
            "failure": self.failure.to_dict() if self.failure else None,
            "seconds": self.seconds,
        }

    @classmethod
    def from_dict(cls, fields: dict[str, Any], *, state: State | None = None) -> Result:
        failure = fields["failure"]
        return cls(
            input=fields["input"],
            status=fields["status"],
            build_name=fields["build_name"],
            cache_dir=Path(fields["cache_dir"]),
            state=state,
            reason=fields["reason"],
            failure=Failure.from_dict(failure) if failure else None,
            seconds=fields["seconds"],
        )

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1) + "\n"


Finish = Callable[[WorkItem, Result], bool]
"""Is told each result as soon as it is known; False if no further item is to be begun."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while inputs were worked on; ``results`` has all inputs, those after it as ``not_started``."""

    def __init__(self, results: list[Result]) -> None:
        super().__init__("interrupted")
        self.results = results


def exit_code(results: Iterable[Result]) -> int:
    """1 if an input failed or was not begun, else 0: a job that is not waited for has done neither."""
    return 1 if any(result.status in FAILED or result.status == "not_started" for result in results) else 0
