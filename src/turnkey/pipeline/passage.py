"""How a state goes through the tools of a sequence, and what is on disk at every moment of it.

After each tool statistics and state are written, in this order: the state file is what says that a tool has finished,
so a process killed between the two repeats that tool and overwrites its statistics. The build's lock is held all the
time.
"""

from __future__ import annotations

import secrets
import time
import traceback
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, TurnkeyError
from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.build_name import claim_directory
from turnkey.pipeline.capture import captured
from turnkey.pipeline.environment import versions
from turnkey.pipeline.events import Listener, Teller, progress_told_to
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.general_statistics import with_general_statistics
from turnkey.pipeline.machine_turn import machine_turn
from turnkey.pipeline.peak_memory import PeakMemory
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.reuse import Reused, recall, remember, reuse_key
from turnkey.pipeline.revival import is_from_script, revived
from turnkey.pipeline.sequence_input import describe_input
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state, write_state
from turnkey.pipeline.statistics import archive_statistics, error_excerpt, now, write_statistics
from turnkey.pipeline.tool import Steps, Tool, ToolKind, ToolSkipped

INTERRUPTED = "interrupted; --resume continues it"

_NAMED_HOLDERS = 3
"""Processes that are named to who waits for them."""

_Step = tuple[str, Mapping[str, Any], str]


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
class _Progress:
    """What changes on the way.

    Attributes:
        state: after the last tool.
        statuses: one per step.
        before: steps of earlier runs of a build that is continued.
        history: entries of earlier runs.
        started: time of this run.
        reason: of the last tool that did not succeed.
    """

    state: State
    statuses: list[str]
    before: tuple[_Step, ...] = ()
    history: tuple[Mapping[str, Any], ...] = ()
    started: str = field(default_factory=now)
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """One way through tools; see `turnkey.pipeline.sequence.Sequence.run` for the attributes."""

    tools: tuple[type[Tool], ...]
    steps: Steps
    names: tuple[str, ...]
    listen: Listener
    echo: bool
    named: str
    shown: str
    reuse: bool = True

    def take(self, state: State, *, finished: int) -> Outcome:
        """Send a state through the tools after the first ``finished`` ones."""
        paths = BuildPaths(state.cache_dir, state.build_name)
        teller = Teller(self.listen, self.shown or self.named, state.build_name)
        try:
            state = self._with_input(state)
            if self.tools[0].continues or finished:
                _check_build(paths)
            else:
                claim_directory(paths, str(state.input.get("path", "")))
            with hold(paths, on_wait=lambda: teller.note("another process works on this build; waiting for it")):
                return self._take_locked(state, paths, teller, finished)
        except TurnkeyError as error:  # outside of any tool: the cache, the lock, a state file
            return Outcome(state=state, status="error", reason=error.what, failure=Failure.of(error))

    def _take_locked(self, state: State, paths: BuildPaths, teller: Teller, finished: int) -> Outcome:
        try:
            progress = self._resumed(state, finished) if finished else self._begun(state, paths)
        except ToolSkipped as skipped:
            return Outcome(state=load_state(state_path=paths.state), status="skipped", reason=skipped.reason)
        tools = [*(tool for tool, _, _ in progress.before), *(tool for tool, _ in self.steps)]
        progress.state = with_general_statistics(progress.state, tools=tools)
        if finished < len(self.steps):
            progress.statuses[finished] = "incomplete"
        self._write(progress, "incomplete")
        for index in range(finished, len(self.steps)):
            failure = self._step(index, progress, paths, teller)
            if failure is not None:
                return Outcome(state=progress.state, status="error", reason=failure.error.what, failure=failure)
            if progress.statuses[0] == "skipped":  # nothing came in, so there is nothing for the others
                return Outcome(state=progress.state, status="skipped", reason=progress.reason)
        return Outcome(state=progress.state, status="successful")

    def _begun(self, state: State, paths: BuildPaths) -> _Progress:
        """A new build, with what was there of an earlier run put away; or a build that is continued."""
        statuses = ["not_started"] * len(self.steps)
        found = state
        if self.tools[0].kind is ToolKind.FIRST:
            found = self.tools[0]().begin(state, following=self.steps[1:], **self._first_arguments(state))
        environment = {**found.environment, **state.environment, "versions": versions()}
        if found is not state:
            continued = replace(found, environment=environment)
            return _Progress(state=continued, statuses=statuses, before=found.sequence, history=found.history)
        archive_statistics(paths)
        for log in paths.directory.glob("log_*.txt"):  # of the run before; its tools may not run in this one
            log.unlink()
        fresh = replace(state, uid=secrets.token_hex(8), sequence=(), history=(), environment=environment)
        return _Progress(state=fresh, statuses=statuses)

    def _resumed(self, state: State, finished: int) -> _Progress:
        """A run that was interrupted goes on; it stays one entry of the history."""
        before = state.sequence[: -len(self.steps)]
        done = [status for _, _, status in state.sequence[len(before) :]][:finished]
        statuses = [*done, *["not_started"] * (len(self.steps) - finished)]
        return _Progress(state=state, statuses=statuses, before=before, history=state.history[:-1])

    def _step(self, index: int, progress: _Progress, paths: BuildPaths, teller: Teller) -> Failure | None:
        """Have a turn on this machine for one tool; the failure if there was one."""
        name, tool = self.names[index], self.tools[index]

        if index == 0 and not tool.needs_turn(**self._first_arguments(progress.state)):
            return self._work(index, progress, paths, teller)  # it refuses its input, and nobody waits for that

        def say_who(holders: tuple[int, ...]) -> None:
            teller.waiting(name, _waiting_for(holders, measures=tool.measures))

        with machine_turn(measures=tool.measures, on_wait=say_who, tell=teller.note):
            return self._work(index, progress, paths, teller)

    def _work(self, index: int, progress: _Progress, paths: BuildPaths, teller: Teller) -> Failure | None:
        """Run one tool and write what it left; the failure if there was one."""
        name, tool = self.names[index], self.tools[index]
        text = tool.progress or f"Running {name}"
        teller.started(name, text, measures=tool.measures)
        failure: Failure | None = None
        status, reason, state = "successful", "", progress.state
        reused: Reused | None = None
        clock, memory = time.perf_counter(), PeakMemory()
        try:
            with (
                captured(paths.log(name), first_line=text, echo=self.echo, quiet_until_end=tool.measures),
                progress_told_to(lambda said: teller.progress(name, said)),
            ):
                try:
                    key = reuse_key(tool.name, self.steps[index][1], state) if tool.reusable else ""
                    reused = recall(name, key, state) if key and self.reuse else None
                    if reused is not None:
                        state = reused.state
                        reason = f"reused from {reused.time}: input, arguments and versions are the same"
                        print(reason, flush=True)
                    else:
                        state = _checked(self._result(index, progress.state), name)
                        if key:
                            remember(name, key, progress.state, state, seconds=time.perf_counter() - clock)
                    _print_listing(state)
                except ToolSkipped as skipped:
                    status, reason = "skipped", skipped.reason
                    print(f"skipped: {reason}", flush=True)
                except (Exception, SystemExit) as exception:
                    kept = getattr(exception, "state", None)  # what the tool had found until it failed
                    state = _checked(kept, name) if isinstance(kept, State) else state
                    with suppress(OSError):  # a full disk: the failure itself is told all the same
                        _print_listing(state)
                        traceback.print_exc()
                    raise
        except KeyboardInterrupt:
            status, reason = "killed", INTERRUPTED
            self._note(index, progress, status, reason, clock=clock, memory=memory)
            self._write(progress, status)
            teller.finished(name, status, reason, time.perf_counter() - clock)
            raise
        except (Exception, SystemExit) as exception:  # noqa: BLE001 - whatever script, model or library raised
            failure = Failure.of(_in_three_parts(exception, paths.log(name)), tool=name)
            status, reason = "error", failure.error.what
        progress.state = replace(state, listing="")
        self._note(index, progress, status, reason, clock=clock, memory=memory, failure=failure, reused=reused)
        try:
            self._write(progress, self._status_after(index, progress, failure))
        except (TurnkeyError, TypeError) as error:  # TypeError: the tool left something that has no plain form
            failure = failure or Failure.of(error, tool=name)
            status, reason = "error", failure.error.what
        if state.listing:
            teller.note(state.listing, echoed=self.echo)
        teller.finished(name, status, reason, time.perf_counter() - clock)
        return failure

    def _result(self, index: int, state: State) -> State:
        """What the tool returns; first its model is brought back where it needs one that is not in memory."""
        tool, arguments = self.tools[index], dict(self.steps[index][1])
        if tool.kind is ToolKind.FIRST:
            arguments = self._first_arguments(state)
        is_live = state.model is not None and state.model.module is not None
        if not is_live and is_from_script(state) and tool.needs_live_model(state, **arguments):
            print("the model is not in memory any more: running its script again", flush=True)
            state = revived(state)
        return tool().run(state, **arguments)

    def _note(
        self,
        index: int,
        progress: _Progress,
        status: str,
        reason: str,
        *,
        clock: float,
        memory: PeakMemory,
        failure: Failure | None = None,
        reused: Reused | None = None,
    ) -> None:
        """Keep in statuses and statistics how a tool ended."""
        name = self.names[index]
        progress.statuses[index] = status
        progress.reason = reason or progress.reason
        matters = status in ("error", "killed") or (status == "skipped" and index == 0)
        # The duration of a tool is that of its work, whenever that was done: estimates and reports rest on it.
        seconds = reused.seconds if reused is not None else time.perf_counter() - clock
        hits = [*progress.state.statistics.get("reused_tools", ()), *([name] if reused is not None else [])]
        progress.state = progress.state.with_statistics(
            **{
                f"tool_status:{name}": status,
                f"tool_duration:{name}": round(seconds, 6),
                f"tool_peak_memory:{name}": memory.peak_bytes(),
                "reused_tools": hits or None,
                "reason": reason if matters else None,
                "error_log": error_excerpt(failure.text) if failure else None,
            }
        )

    def _status_after(self, index: int, progress: _Progress, failure: Failure | None) -> str:
        """Status of the build after a tool; the next tool is marked as the one at work."""
        if failure is not None:
            return "error"
        if progress.statuses[0] == "skipped":
            return "skipped"
        if index == len(self.steps) - 1:
            return "successful"
        progress.statuses[index + 1] = "incomplete"
        return "incomplete"

    def _write(self, progress: _Progress, status: str) -> None:
        steps = [[name, dict(arguments)] for name, arguments in self.steps]
        pairs = zip(self.steps, progress.statuses, strict=True)
        mine = tuple((name, arguments, done) for (name, arguments), done in pairs)
        progress.state = replace(
            progress.state.with_statistics(build_status=status),
            build_status=status,
            sequence=(*progress.before, *mine),
            history=(*progress.history, {"sequence": steps, "status": status, "time": progress.started}),
        )
        paths = BuildPaths(progress.state.cache_dir, progress.state.build_name)
        write_statistics(paths, progress.state.statistics)
        write_state(progress.state)

    def _with_input(self, state: State) -> State:
        """The state with its input described, where only the first tool's arguments name it."""
        first, (_, arguments) = self.tools[0], self.steps[0]
        if first.kind is not ToolKind.FIRST or first.continues or state.input or "input" not in arguments:
            return state
        path = Path(arguments["input"]).absolute()
        return replace(state, input=describe_input(path, target=arguments.get("target"), first=arguments))

    def _first_arguments(self, state: State) -> dict[str, Any]:
        """What the first tool gets: its arguments, the input as named, the hash the user gave."""
        merged = {"input": self.named, **self.steps[0][1]}
        if state.input.get("hash"):
            merged.setdefault("target", state.input["hash"])
        return merged


def _check_build(paths: BuildPaths) -> None:
    if not paths.state.is_file():
        raise InputError("there is no such build", evidence=str(paths.state), remedy="turnkey cache --list --all")


def _waiting_for(holders: tuple[int, ...], *, measures: bool) -> str:
    text = f"waiting for {'the tools at work elsewhere' if measures else 'a measurement'} on this machine"
    if holders:
        more = ", …" if len(holders) > _NAMED_HOLDERS else ""
        text += f" (process {', '.join(map(str, holders[:_NAMED_HOLDERS]))}{more})"
    return f"{text}; with TURNKEY_MACHINE_LOCK= nothing waits, and figures may be disturbed"


def _in_three_parts(exception: BaseException, log: Path) -> BaseException:
    """A full disk is nobody's defect, wherever it was met."""
    if not isinstance(exception, OSError) or not durable.is_full(exception):
        return exception
    error = durable.cannot_write(Path(exception.filename or log), exception)
    error.__cause__ = exception
    return error


def _print_listing(state: State) -> None:
    """Into the log of the tool that left it, apart from what the tool itself has written there."""
    if state.listing:
        print(f"\n{state.listing}", flush=True)


def _checked(result: object, name: str) -> State:
    if not isinstance(result, State):
        raise TypeError(f"the tool {name} returned {type(result).__name__} instead of a state")
    return replace(result, statistics=plain(dict(result.statistics)))
