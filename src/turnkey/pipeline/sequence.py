"""A sequence: tools with their arguments, in the order in which they run, and how a state goes through them.

The sequence is data: two equal lists of (tool, arguments) do the same in this process, in a worker or in a later call
that resumes. After each tool statistics and state are written, in this order: the state file is what says that a tool
has finished, so a process killed between the two repeats that tool and overwrites its statistics.
"""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, TurnkeyError, UsageError
from turnkey.host import system_info
from turnkey.pipeline import durable
from turnkey.pipeline.arguments import effective_arguments
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.build_name import claim_directory
from turnkey.pipeline.capture import captured
from turnkey.pipeline.environment import versions
from turnkey.pipeline.events import Event, Listener, silent
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.peak_memory import PeakMemory
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.revival import is_from_script, revived
from turnkey.pipeline.sequence_input import describe_input
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state, write_state
from turnkey.pipeline.statistics import archive_statistics, error_excerpt, now, write_statistics
from turnkey.pipeline.tool import Steps, Tool, ToolKind, ToolSkipped
from turnkey.pipeline.toolbox import find_tool
from turnkey.version import __version__

INTERRUPTED = "interrupted (Ctrl-C); --resume continues it"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a state came out of a sequence.

    Attributes:
        state: the last good one; of a build that is not continued what its files say.
        status: ``successful``, ``error``, ``skipped`` or ``killed``.
        reason: why it was skipped or stopped; empty if successful.
        failure: of the tool that failed.
    """

    state: State
    status: str
    reason: str = ""
    failure: Failure | None = None


@dataclass(slots=True)
class _Run:
    """What changes while one sequence runs."""

    state: State
    statuses: list[str]
    before: tuple[tuple[str, Mapping[str, Any], str], ...]
    history: tuple[Mapping[str, Any], ...]
    started: str
    reasons: list[str] = field(default_factory=list)


class Sequence:
    """An ordered list of (tool, arguments).

    Args:
        steps: names of tools with the arguments that differ from their defaults, by keyword of the tool's ``run``.

    Raises:
        UsageError: no step, an unknown tool, a tool in the wrong place, an argument that a tool does not have.
    """

    def __init__(self, steps: Iterable[tuple[str, Mapping[str, Any]] | list[Any] | str]) -> None:
        pairs = [(step, {}) if isinstance(step, str) else (step[0], step[1]) for step in steps]
        if not pairs:
            raise UsageError("a sequence needs at least one tool")
        self._tools: list[type[Tool]] = [find_tool(name) for name, _ in pairs]
        _check_places(self._tools)
        self.steps: Steps = tuple(
            (tool.name, effective_arguments(tool, arguments))
            for tool, (_, arguments) in zip(self._tools, pairs, strict=True)
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and self.steps == other.steps

    def __hash__(self) -> int:
        return hash(repr(self.steps))

    def __repr__(self) -> str:
        return f"Sequence({[(name, dict(arguments)) for name, arguments in self.steps]!r})"

    @property
    def tools(self) -> tuple[type[Tool], ...]:
        """Classes of the tools, in order."""
        return tuple(self._tools)

    @property
    def names(self) -> tuple[str, ...]:
        """Names for logs and keys: the second ``benchmark`` is ``benchmark-2``."""
        counts: dict[str, int] = {}
        names = []
        for tool, _ in self.steps:
            counts[tool] = counts.get(tool, 0) + 1
            names.append(tool if counts[tool] == 1 else f"{tool}-{counts[tool]}")
        return tuple(names)

    def launch(self, state: State, *, listen: Listener = silent) -> State:
        """Send a state through all tools and return the last one.

        The first tool takes its input from its arguments (``input``, ``target``), else from ``state.input``.

        Raises:
            TurnkeyError: a tool failed; state and statistics on disk say so.
        """
        outcome = self.run(state, listen=listen)
        if outcome.failure is not None:
            raise outcome.failure.error
        return outcome.state

    def run(
        self,
        state: State,
        *,
        listen: Listener = silent,
        finished: int = 0,
        echo: bool = False,
        named: str = "",
        shown: str = "",
    ) -> Outcome:
        """Like `launch`, but a failed tool is part of the outcome.

        Args:
            finished: so many first steps are done already, ``state`` is what came out of them (a resumed build).
            echo: show the tools' output on the terminal too.
            named: the input's path as the user wrote it, for the first tool; by default that of the state.
            shown: the input in messages and events.

        Raises:
            KeyboardInterrupt: passed on after the build was marked as interrupted.
        """
        paths = BuildPaths(state.cache_dir, state.build_name)
        named = named or str(self.steps[0][1].get("input") or state.input.get("path", ""))
        told = _Teller(listen, shown or named, state.build_name)
        try:
            state = self._with_input(state)
            if self._tools[0].continues or finished:
                _check_build(paths)
            else:
                claim_directory(paths, str(state.input.get("path", "")))
            with hold(paths, on_wait=lambda: told.note("another process works on this build; waiting for it")):
                return self._run_locked(state, paths, told, finished=finished, echo=echo, named=named)
        except TurnkeyError as error:  # outside of any tool: the cache, the lock, a state file
            return Outcome(state=state, status="error", reason=error.what, failure=Failure.of(error))

    def _run_locked(
        self, state: State, paths: BuildPaths, told: _Teller, *, finished: int, echo: bool, named: str
    ) -> Outcome:
        try:
            run = self._begin(state, paths, finished, named)
        except ToolSkipped as skipped:
            return Outcome(state=load_state(state_path=paths.state), status="skipped", reason=skipped.reason)
        for index in range(finished, len(self.steps)):
            failure = self._step(index, run, paths, told, echo=echo, named=named)
            if failure is not None:
                return Outcome(state=run.state, status="error", reason=failure.error.what, failure=failure)
            if run.statuses[0] == "skipped":  # nothing came in, so there is nothing for the others
                return Outcome(state=run.state, status="skipped", reason=run.reasons[-1])
        return Outcome(state=run.state, status="successful")

    def _begin(self, state: State, paths: BuildPaths, finished: int, named: str) -> _Run:
        """The state as this run finds it, written as incomplete."""
        before: tuple[tuple[str, Mapping[str, Any], str], ...] = ()
        history = state.history
        statuses = ["not_started"] * len(self.steps)
        if finished:
            before = state.sequence[: -len(self.steps)]
            statuses[:finished] = [status for _, _, status in state.sequence[len(before) :][:finished]]
            history = history[:-1]
        else:
            found = state
            if self._tools[0].kind is ToolKind.FIRST:
                arguments = _first_arguments(state, self.steps[0][1], named)
                found = self._tools[0]().begin(state, following=self.steps[1:], **arguments)
            if found is state:
                archive_statistics(paths)
                for log in paths.directory.glob("log_*.txt"):  # of the run before; its tools may not run in this one
                    log.unlink()
                state = _fresh(state)
            else:
                before = found.sequence
                history = found.history
                state = replace(found, environment={**found.environment, **state.environment, "versions": versions()})
        run = _Run(state=state, statuses=statuses, before=before, history=history, started=now())
        run.state = _with_general_statistics(run.state, self._all_names(run))
        if run.statuses[finished:]:
            run.statuses[finished] = "incomplete"
        self._write(run, "incomplete")
        return run

    def _step(
        self, index: int, run: _Run, paths: BuildPaths, told: _Teller, *, echo: bool, named: str
    ) -> Failure | None:
        """Run one tool and write what it left; the failure if there was one."""
        name, tool, arguments = self.names[index], self._tools[index], dict(self.steps[index][1])
        if tool.kind is ToolKind.FIRST:
            arguments = _first_arguments(run.state, arguments, named)
        progress = tool.progress or f"Running {name}"
        told.started(name, progress, measures=tool.measures)
        failure: Failure | None = None
        status, reason, state = "successful", "", run.state
        clock, memory = time.perf_counter(), PeakMemory()
        try:
            with captured(paths.log(name), first_line=progress, echo=echo):
                try:
                    before = _with_live_model(tool, run.state, arguments)
                    state = _checked(tool().run(before, **arguments), name)
                except ToolSkipped as skipped:
                    status, reason = "skipped", skipped.reason
                    print(f"skipped: {reason}", flush=True)
                except (Exception, SystemExit):
                    with suppress(OSError):  # a full disk: the failure itself is told all the same
                        traceback.print_exc()
                    raise
        except KeyboardInterrupt:
            self._finish(run, index, "killed", clock, memory, reason=INTERRUPTED)
            self._write(run, "killed")
            told.finished(name, "killed", INTERRUPTED, time.perf_counter() - clock)
            raise
        except (Exception, SystemExit) as exception:  # noqa: BLE001 - whatever script, model or library raised
            failure = Failure.of(_in_three_parts(exception, paths.log(name)), tool=name)
            status, reason = "error", failure.error.what
            kept = getattr(exception, "state", None)  # what the tool had found until it failed
            state = _checked(kept, name) if isinstance(kept, State) else state
        run.state = replace(state, listing="")
        self._finish(run, index, status, clock, memory, reason=reason, failure=failure)
        failure = self._written(run, index, failure)
        if state.listing:
            told.note(state.listing)
        status = "error" if failure else status
        told.finished(name, status, failure.error.what if failure else reason, time.perf_counter() - clock)
        return failure

    def _finish(
        self,
        run: _Run,
        index: int,
        status: str,
        clock: float,
        memory: PeakMemory,
        *,
        reason: str = "",
        failure: Failure | None = None,
    ) -> None:
        """Note in statuses and statistics how a tool ended."""
        name = self.names[index]
        run.statuses[index] = status
        if reason:
            run.reasons.append(reason)
        run.state = run.state.with_statistics(
            **{
                f"tool_status:{name}": status,
                f"tool_duration:{name}": round(time.perf_counter() - clock, 6),
                f"tool_peak_memory:{name}": memory.peak_bytes(),
                "reason": reason if status in ("error", "killed") or (status == "skipped" and index == 0) else None,
                "error_log": error_excerpt(_error_text(failure)) if failure else None,
            }
        )

    def _written(self, run: _Run, index: int, failure: Failure | None) -> Failure | None:
        """Write the state after a tool; a write that fails is a failure of the input."""
        last = index == len(self.steps) - 1
        if failure is not None:
            status = "error"
        elif run.statuses[0] == "skipped":
            status = "skipped"
        elif last:
            status = "successful"
        else:
            status = "incomplete"
            run.statuses[index + 1] = "incomplete"
        try:
            self._write(run, status)
        except (TurnkeyError, TypeError) as error:  # TypeError: the tool left something that has no plain form
            return failure or Failure.of(error, tool=self.names[index])
        return failure

    def _write(self, run: _Run, status: str) -> None:
        steps = [[name, dict(arguments)] for name, arguments in self.steps]
        mine = tuple((name, arguments, done) for (name, arguments), done in zip(self.steps, run.statuses, strict=True))
        run.state = replace(
            run.state.with_statistics(build_status=status),
            build_status=status,
            sequence=(*run.before, *mine),
            history=(*run.history, {"sequence": steps, "status": status, "time": run.started}),
        )
        paths = BuildPaths(run.state.cache_dir, run.state.build_name)
        write_statistics(paths, run.state.statistics)
        write_state(run.state)

    def _with_input(self, state: State) -> State:
        """The state with its input described, where only the first tool's arguments name it."""
        arguments = self.steps[0][1]
        first = self._tools[0]
        if first.kind is not ToolKind.FIRST or first.continues or state.input or "input" not in arguments:
            return state
        path = Path(arguments["input"]).absolute()
        return replace(state, input=describe_input(path, target=arguments.get("target"), first=arguments))

    def _all_names(self, run: _Run) -> list[str]:
        return [*(tool for tool, _, _ in run.before), *(tool for tool, _ in self.steps)]


def _first_arguments(state: State, arguments: Mapping[str, Any], named: str) -> dict[str, Any]:
    """What the first tool gets: its arguments, the input as named, the hash the user gave."""
    merged = {"input": named, **arguments}
    if state.input.get("hash"):
        merged.setdefault("target", state.input["hash"])
    return merged


class _Teller:
    """Tells a listener about one input."""

    def __init__(self, listen: Listener, name: str, build_name: str) -> None:
        self._listen = listen
        self._name = name
        self._build_name = build_name

    def note(self, text: str) -> None:
        self._listen(Event(kind="note", input=self._name, build_name=self._build_name, text=text))

    def started(self, tool: str, text: str, *, measures: bool) -> None:
        self._listen(
            Event(
                kind="tool-started",
                input=self._name,
                build_name=self._build_name,
                tool=tool,
                text=text,
                measures=measures,
            )
        )

    def finished(self, tool: str, status: str, text: str, seconds: float) -> None:
        self._listen(
            Event(
                kind="tool-finished",
                input=self._name,
                build_name=self._build_name,
                tool=tool,
                text=text,
                status=status,
                seconds=seconds,
            )
        )


def _check_places(tools: list[type[Tool]]) -> None:
    for index, tool in enumerate(tools):
        if tool.kind is ToolKind.MANAGEMENT:
            raise UsageError(f"{tool.name} is a management tool and has no place in a sequence")
        if tool.kind is ToolKind.FIRST and index > 0:
            names = [tool.name, *(other.name for other in tools if other is not tool)]
            raise UsageError(
                f"{tool.name} starts a sequence and must come first", remedy=f"turnkey -i INPUTS {' '.join(names)}"
            )


def _check_build(paths: BuildPaths) -> None:
    if not paths.state.is_file():
        raise InputError("there is no such build", evidence=str(paths.state), remedy="turnkey cache --list --all")


def _with_live_model(tool: type[Tool], state: State, arguments: Mapping[str, Any]) -> State:
    """The state with its module in memory, where the tool calls it and the build comes from a script."""
    is_live = state.model is not None and state.model.module is not None
    if is_live or not is_from_script(state) or not tool.needs_live_model(state, **arguments):
        return state
    print("the model is not in memory any more: running its script again", flush=True)
    return revived(state)


def _in_three_parts(exception: BaseException, log: Path) -> BaseException:
    """A full disk is nobody's defect, wherever it was met."""
    if not isinstance(exception, OSError) or not durable.is_full(exception):
        return exception
    error = durable.cannot_write(Path(exception.filename or log), exception)
    error.__cause__ = exception
    return error


def _checked(result: object, name: str) -> State:
    if not isinstance(result, State):
        raise TypeError(f"the tool {name} returned {type(result).__name__} instead of a state")
    return replace(result, statistics=plain(dict(result.statistics)))


def _fresh(state: State) -> State:
    """A state at the start of a new build: what was known of an earlier run is gone."""
    return replace(
        state,
        uid=secrets.token_hex(8),
        sequence=(),
        history=(),
        environment={**state.environment, "versions": versions()},
        statistics=dict(state.statistics),
    )


def _with_general_statistics(state: State, tools: list[str]) -> State:
    labels = {key: list(values) for key, values in state.labels.items()}
    kept = {key: value for key, value in state.statistics.items() if key not in ("error_log", "reason")}
    return replace(state, statistics=kept).with_statistics(
        build_name=state.build_name,
        model_name=kept.get("model_name") or Path(str(state.input.get("path", state.build_name))).stem,
        labels=labels,
        author=" ".join(labels["author"]) if "author" in labels else None,
        task=" ".join(labels["task"]) if "task" in labels else None,
        input=state.input.get("path"),
        input_sha256=state.input.get("sha256"),
        turnkey_version=__version__,
        timestamp=now(),
        selected_sequence_of_tools=tools,
        system_info=kept.get("system_info") or _system(),
    )


@cache
def _system() -> dict[str, Any]:
    found: dict[str, Any] = plain(system_info().to_dict())
    return {key: value for key, value in found.items() if value not in (None, "", [])}


def _error_text(failure: Failure) -> str:
    return "\n".join(part for part in (str(failure.error), failure.user_traceback) if part)
