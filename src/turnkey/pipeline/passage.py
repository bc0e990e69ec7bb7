"""How a state goes through the tools of a sequence, with the build's lock held all the time.

What is on disk at every moment of it is the matter of `turnkey.pipeline.run_progress`.
"""

from __future__ import annotations

import secrets
import time
import traceback
from contextlib import suppress
from dataclasses import dataclass, replace
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
from turnkey.pipeline.run_progress import RunProgress
from turnkey.pipeline.sequence_input import describe_input
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.statistics import archive_statistics
from turnkey.pipeline.tool import Steps, Tool, ToolKind, ToolSkipped

INTERRUPTED = "interrupted; --resume continues it"

_NAMED_HOLDERS = 3
"""Processes that are named to who waits for them."""


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
        if finished:
            progress = RunProgress.resumed(state, steps=self.steps, names=self.names, finished=finished)
        else:
            found = state
            try:
                if self.tools[0].kind is ToolKind.FIRST:
                    found = self.tools[0]().begin(state, following=self.steps[1:], **self._first_arguments(state))
            except ToolSkipped as skipped:
                return Outcome(state=load_state(state_path=paths.state), status="skipped", reason=skipped.reason)
            except TurnkeyError as error:
                refusal = Failure.of(error, tool=self.names[0])
                return Outcome(state=state, status="error", reason=error.what, failure=refusal)
            progress = self._begun(state, found, paths)
        progress.state = with_general_statistics(progress.state, tools=progress.tools)
        if finished < len(self.steps):
            progress.statuses[finished] = "incomplete"
        progress.write("incomplete")
        for index in range(finished, len(self.steps)):
            failure = self._step(index, progress, paths, teller)
            if failure is not None:
                return Outcome(state=progress.state, status="error", reason=failure.error.what, failure=failure)
            if progress.is_skipped:
                return Outcome(state=progress.state, status="skipped", reason=progress.reason)
        return Outcome(state=progress.state, status="successful")

    def _begun(self, state: State, found: State, paths: BuildPaths) -> RunProgress:
        """A new build, with what was there of an earlier run put away; or the build that the first tool found."""
        environment = {**found.environment, **state.environment, "versions": versions()}
        if found is not state:
            continued = replace(found, environment=environment)
            return RunProgress(
                steps=self.steps, names=self.names, state=continued, before=found.sequence, history=found.history
            )
        archive_statistics(paths)
        for log in paths.directory.glob("log_*.txt"):  # of the run before; its tools may not run in this one
            log.unlink()
        fresh = replace(state, uid=secrets.token_hex(8), sequence=(), history=(), environment=environment)
        return RunProgress(steps=self.steps, names=self.names, state=fresh)

    def _step(self, index: int, progress: RunProgress, paths: BuildPaths, teller: Teller) -> Failure | None:
        """Have a turn on this machine for one tool; the failure if there was one."""
        name, tool = self.names[index], self.tools[index]

        if index == 0 and not tool.needs_turn(**self._first_arguments(progress.state)):
            return self._work(index, progress, paths, teller)  # it refuses its input, and nobody waits for that

        def say_who(holders: tuple[int, ...]) -> None:
            teller.waiting(name, _waiting_for(holders, measures=tool.measures))

        with machine_turn(measures=tool.measures, on_wait=say_who, tell=teller.note):
            return self._work(index, progress, paths, teller)

    def _work(self, index: int, progress: RunProgress, paths: BuildPaths, teller: Teller) -> Failure | None:
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
                    with suppress(OSError, ValueError):  # a full disk, a closed stream: the failure itself is told
                        _print_listing(state)
                        traceback.print_exc()
                    raise
        except KeyboardInterrupt:
            status, reason = "killed", INTERRUPTED
            seconds = time.perf_counter() - clock
            progress.note(index, status, reason=reason, seconds=seconds, peak_bytes=memory.peak_bytes())
            progress.write(status)
            teller.finished(name, status, reason, time.perf_counter() - clock)
            raise
        except (Exception, SystemExit) as exception:  # noqa: BLE001 - whatever script, model or library raised
            failure = Failure.of(_in_three_parts(exception, paths.log(name)), tool=name)
            status, reason = "error", failure.error.what
        progress.state = replace(state, listing="")
        progress.note(
            index,
            status,
            reason=reason,
            seconds=reused.seconds if reused is not None else time.perf_counter() - clock,
            peak_bytes=memory.peak_bytes(),
            failure=failure,
            is_reused=reused is not None,
        )
        try:
            progress.write_after(index, failure)
        except (TurnkeyError, TypeError) as error:  # TypeError: the tool left something that has no plain form
            failure = failure or Failure.of(error, tool=name)
            status, reason = "error", failure.error.what
        if state.listing:
            teller.listing(state.listing, echoed=self.echo)
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
