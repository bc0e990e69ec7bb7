"""An input in a process of its own: its crash, hang or hunger ends nothing but itself.

The call starts one fresh interpreter per input (`turnkey.launch.worker`), listens on a pipe, and learns of the end by
the warden's last message or, if the warden died too, by its exit status; never by silence.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from turnkey.errors import InputError, ModelError, TurnkeyError
from turnkey.launch.execution import finished_event
from turnkey.launch.last_words import last_words
from turnkey.launch.out_of_memory import oom_kills
from turnkey.launch.result import Interrupted, Result
from turnkey.launch.warden import TERMINATION_SECONDS, Ending
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline import durable
from turnkey.pipeline.aftermath import close_build
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.events import Event, Listener
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.lean_cache import remove_artifacts
from turnkey.pipeline.sequence import INTERRUPTED
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state

_PROGRAM = """\
import os, sys
if sys.path[:1] == [""]:
    sys.path[0] = os.path.dirname(sys.executable)
from turnkey.launch.worker import main
raise SystemExit(main(sys.argv[1:]))
"""
"""The search path of the command ``turnkey``. With ``-m``, modules of the working directory would be imported
instead of the library's; ``-P`` is a flag that scripts would see."""

_LONGEST_LINE_BYTES = 8 * 1024 * 1024
_INTERRUPT_SECONDS = TERMINATION_SECONDS + 2.0


def run_isolated(item: WorkItem, path: Path, *, log: Path, listen: Listener) -> Result:
    """Work on one item in a process of its own, and say how that went.

    Args:
        path: of the item's file.
        log: what the worker writes outside of any tool.

    Raises:
        InputError: the log cannot be written.
        Interrupted: Ctrl-C, after the worker has ended; carries the one result.
    """
    started = time.perf_counter()
    kills_before = oom_kills()
    process = _Process(item, path, log=log, listen=listen)
    try:
        process.wait()
    finally:
        process.clean_up()
    result = _result(item, process, out_of_memory=_more(kills_before, oom_kills()))
    result = replace(result, seconds=time.perf_counter() - started)
    listen(finished_event(result))
    if process.was_interrupted:
        raise Interrupted([result])
    return result


class _Process:
    """The warden's process as the call sees it."""

    def __init__(self, item: WorkItem, path: Path, *, log: Path, listen: Listener) -> None:
        self._listen = listen
        self.tool = ""
        self.result: Result | None = None
        self.ending: Ending | None = None
        self.was_interrupted = False
        self.log = log
        self._buffer = b""
        self._messages, messages_end = os.pipe()
        lifeline_end, self._lifeline = os.pipe()
        try:
            self._process = _started(path, messages_end, lifeline_end, log=log, verbose=item.verbose)
        except TurnkeyError:
            os.close(self._messages)
            os.close(self._lifeline)
            raise
        finally:
            os.close(messages_end)
            os.close(lifeline_end)
        self._ended: int | None = None
        with suppress(OSError, AttributeError):  # no such descriptors on this system: look now and then
            self._ended = os.pidfd_open(self._process.pid)

    @property
    def exit_code(self) -> int:
        return self._process.returncode

    def wait(self) -> None:
        """Pass events on until the process has ended."""
        until: float | None = None
        while self._process.poll() is None:
            try:
                # Asleep until something happens: whoever wakes up now and then disturbs what is being timed.
                self._listen_for(None if until is None and self._ended is not None else 0.5)
            except KeyboardInterrupt:
                if self.was_interrupted:  # a second Ctrl-C: at once
                    self._close_lifeline()
                self.was_interrupted = True
                until = until or time.monotonic() + _INTERRUPT_SECONDS
                with suppress(BrokenPipeError, OSError):
                    os.write(self._lifeline, b"i")
            if until is not None and time.monotonic() > until:
                self._close_lifeline()
        while self._listen_for(0.0):
            pass

    def clean_up(self) -> None:
        """Close the pipes, and kill what is left of the session if the warden could not."""
        self._close_lifeline()
        if self._process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=2 * TERMINATION_SECONDS)
        if self.ending is None:
            _kill_session(self._process.pid)
        self._process.kill()
        self._process.wait()
        os.close(self._messages)
        if self._ended is not None:
            os.close(self._ended)

    def _listen_for(self, seconds: float | None) -> bool:
        """Take what comes within so many seconds, or until the process ends; False if nothing did."""
        watched = [self._messages, *([self._ended] if self._ended is not None and seconds != 0 else [])]
        ready, _, _ = select.select(watched, [], [], seconds)
        if self._messages not in ready:
            return False
        content = os.read(self._messages, 1 << 16)
        if not content:  # every writer is gone; the exit status will follow
            self._process.wait()
            return False
        *lines, self._buffer = (self._buffer + content).split(b"\n")
        if len(self._buffer) > _LONGEST_LINE_BYTES:
            self._buffer = b""
        for line in lines:
            self._take(line)
        return True

    def _take(self, line: bytes) -> None:
        """One message; whatever is not one of ours is ignored (a script may write to any descriptor)."""
        try:
            message = json.loads(line)
            if "event" in message:
                event = Event.from_dict(message["event"])
                if event.kind == "tool-started":
                    self.tool = event.tool
                elif event.kind == "tool-finished" and event.status != "killed":
                    self.tool = ""
            elif "result" in message:
                self.result = Result.from_dict(message["result"])
                return
            else:
                self.ending = Ending(**message["ended"])
                return
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        self._listen(event)

    def _close_lifeline(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1


def _result(item: WorkItem, process: _Process, *, out_of_memory: bool) -> Result:
    paths = BuildPaths(Path(item.cache_dir), item.build_name)
    if process.result is not None:  # sent when all was done; what came later does not undo it
        return replace(process.result, state=_state(paths))
    status, error = _verdict(item, process, paths, out_of_memory=out_of_memory)
    failure = Failure(error=error, tool=process.tool)
    state = None
    try:
        state = close_build(paths, status=status, tool=process.tool, reason=error.what, error_log=str(error))
        if item.lean_cache and state is not None:
            with hold(paths):
                remove_artifacts(paths)
    except TurnkeyError as second:  # a full disk: the result is all that is left to say it
        failure = replace(failure, full_traceback=str(second))
    return Result(
        input=item.input,
        status=status,
        build_name=item.build_name,
        cache_dir=paths.cache_dir,
        state=state,
        reason=error.what,
        failure=failure,
    )


def _verdict(item: WorkItem, process: _Process, paths: BuildPaths, *, out_of_memory: bool) -> tuple[str, ModelError]:
    """Status and error of a worker that sent no result."""
    ending = process.ending or Ending(exit_code=process.exit_code)
    at_work = f"while {process.tool} was at work" if process.tool else "outside of any tool"
    log = paths.log(process.tool) if process.tool else process.log
    tail = f"end of {log}:\n{last_words(log)}"
    if process.was_interrupted:
        return "killed", ModelError(INTERRUPTED, evidence=f"Ctrl-C {at_work}")
    if ending.cause == "timeout":
        return "timeout", ModelError(
            f"not finished after {item.timeout:g} s, ended {at_work}",
            evidence=f"the stacks of all threads are in the log; {tail}",
            remedy="give it more time: --timeout SECONDS",
        )
    if ending.cause == "memory":
        return "killed", ModelError(
            f"killed at the memory limit {at_work}",
            evidence=f"{_mib(ending.peak_bytes)} in use, limit {_mib(item.memory_limit or 0)}; {tail}",
            remedy="a higher --memory-limit, or a smaller batch",
        )
    how = _how(ending.exit_code) if process.ending else f"its warden died, {_how(process.exit_code)}"
    memory = "; the kernel killed for lack of memory meanwhile" if out_of_memory else ""
    return "killed", ModelError(
        f"the process ended {at_work}: {how}",
        evidence=f"{how}{memory}; {tail}",
        remedy="run the script by itself to see it: python " + item.path if item.path.endswith(".py") else "",
    )


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"


def _mib(size_bytes: int) -> str:
    return f"{size_bytes / 2**20:.0f} MiB"


def _more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before


def _state(paths: BuildPaths) -> State | None:
    try:
        return load_state(state_path=paths.state)
    except TurnkeyError:  # an input that failed before its first write has none
        return None


def _started(item: Path, messages: int, lifeline: int, *, log: Path, verbose: bool) -> subprocess.Popen[bytes]:
    """The warden's process. Raises InputError if the log cannot be written or no process can be started."""
    durable.write_bytes(log, b"")
    with open(log, "ab") as output:
        try:
            return subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, item, str(messages), str(lifeline)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=None if verbose else output,
                pass_fds=(messages, lifeline),
                start_new_session=True,
            )
        except OSError as error:
            raise InputError(
                "no process can be started for this input",
                evidence=f"{sys.executable}: {error.strerror or error}",
                remedy="end other processes, or raise the limit: ulimit -u",
            ) from error


def _kill_session(leader: int) -> None:
    """SIGKILL to every process of a session, for the case that its warden is dead."""
    import psutil  # only in an accident

    for _ in range(100):
        members = []
        for process in psutil.process_iter():
            with suppress(OSError, psutil.Error):
                if os.getsid(process.pid) == leader and process.status() != psutil.STATUS_ZOMBIE:
                    members.append(process.pid)
        if not members:
            return
        for member in members:
            with suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        time.sleep(0.01)
