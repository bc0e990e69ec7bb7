"""A worker in a fresh process: started, commanded over pipes, stopped while its peers run, and always ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from turnkey.errors import MeasurementInvalid, ModelError
from turnkey.measure import reply
from turnkey.measure.crew import LoadReport, SliceReport, WorkerLost
from turnkey.measure.progress import TELL_S
from turnkey.measure.target import TargetDescription
from turnkey.measure.warmup import WarmUp

_LARGEST_REPLY = 64 << 20
_TAIL_LINES = 12
_POOL_VARIABLES = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
)


class ProcessWorkers:
    """Factory of worker processes; see `turnkey.measure.crew.WorkerFactory`.

    Args:
        logs: directory for their standard output and error.
        step_timeout_s: how long one step may keep a worker awake.
        stop_peers: False where processes cannot or must not be stopped.
        meanwhile: called every ten seconds while a process imports or loads, which may take minutes; never while it
            makes calls that are timed.
    """

    def __init__(
        self,
        logs: Path,
        *,
        step_timeout_s: float,
        same_input: bool = False,
        cold_cache: bool = False,
        stop_peers: bool = True,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> None:
        self._logs = logs
        self._meanwhile = meanwhile
        self._step_timeout_s = step_timeout_s
        self._same_input = same_input
        self._cold_cache = cold_cache
        self._stop_peers = stop_peers

    def __call__(
        self, description: TargetDescription, *, name: str, round_: int, threads: int, pad: int
    ) -> ProcessWorker:
        self._logs.mkdir(parents=True, exist_ok=True)
        stem = "".join(c if c.isalnum() or c in "-_.~" else "_" for c in name)
        return ProcessWorker(
            description,
            threads=threads,
            pad=pad,
            log=self._logs / f"{stem}-{round_}.txt",
            step_timeout_s=self._step_timeout_s,
            same_input=self._same_input,
            cold_cache=self._cold_cache,
            stop=self._stop_peers and description.facts.get("device", "cpu") == "cpu",
            meanwhile=self._meanwhile,
        )


class ProcessWorker:
    """One worker process, leader of its own process group."""

    def __init__(
        self,
        description: TargetDescription,
        *,
        threads: int,
        pad: int,
        log: Path,
        step_timeout_s: float,
        same_input: bool,
        cold_cache: bool,
        stop: bool,
        meanwhile: Callable[[], None],
    ) -> None:
        self._log = log
        self._meanwhile = meanwhile
        self._timeout_s = step_timeout_s
        self._stop = stop
        self._asleep = False
        self._buffer = bytearray()
        theirs, self._commands = os.pipe()
        self._replies, theirs_too = os.pipe()
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    [
                        description.interpreter or sys.executable,
                        # -P: a file of the working directory must not stand in for a module of the runtime.
                        *("-P", "-m", "turnkey.measure.worker", str(theirs), str(theirs_too), str(os.getpid())),
                    ],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    pass_fds=(theirs, theirs_too),
                    process_group=0,
                    env=_environment(description, threads=threads, pad=pad),
                )
        except OSError as error:
            os.close(self._commands)
            os.close(self._replies)
            lost = ModelError(
                f"the worker of {description.key} cannot be started",
                evidence=str(error),
                remedy="check the interpreter given for this target",
            )
            raise WorkerLost("crashed", lost, final=True) from error
        finally:
            os.close(theirs)
            os.close(theirs_too)
        self.pid = self._process.pid
        try:
            start = {
                "factory": description.factory,
                "arguments": dict(description.arguments),
                "threads": threads,
                "same_input": same_input,
                "cold_cache": cold_cache,
            }
            self._send(start)
            self._send({"do": "arrive"})
        except BaseException:
            self.kill()
            raise

    @property
    def can_sleep(self) -> bool:
        return self._stop

    def arrive(self) -> None:
        for _ in ("started", "imported"):
            self._answer(meanwhile=self._meanwhile)

    def load(self) -> LoadReport:
        self._send({"do": "load"})
        return reply.load_report(self._answer(meanwhile=self._meanwhile))

    def calibrate(self, *, call_ns: float) -> WarmUp:
        return self._warm_up({"do": "calibrate", "with": {"call_ns": call_ns}})

    def warm(self, *, call_ns: float, n_warm: int) -> WarmUp:
        return self._warm_up({"do": "warm", "with": {"call_ns": call_ns, "n_warm": n_warm}})

    def slice(self, *, entries: int, inner: int) -> SliceReport:
        begin = time.perf_counter_ns()
        told = self._request({"do": "slice", "with": {"entries": entries, "inner": inner}})
        return reply.slice_report(told, entries=entries, elapsed_ns=time.perf_counter_ns() - begin)

    def drive(self, *, kind: str, **arguments: Any) -> dict[str, Any]:
        """Carry a load shape; see `turnkey.measure.drive`."""
        return dict(self._request({"do": "drive", "with": {"kind": kind, **arguments}}))

    def sleep(self) -> None:
        if self._stop and not self._asleep:
            self._signal(signal.SIGSTOP)
            self._asleep = True

    def wake(self) -> None:
        if self._asleep and self._commands >= 0:
            self._signal(signal.SIGCONT)
            self._asleep = False

    def peak_memory(self) -> int | None:
        size = self._request({"do": "peak_memory"})
        return size if type(size) is int else None

    def kill(self) -> None:
        if self._commands < 0:
            return  # ended before: its number may belong to somebody else by now
        self._signal(signal.SIGKILL)
        self._process.wait()
        for descriptor in (self._commands, self._replies):
            if descriptor >= 0:
                os.close(descriptor)
        self._commands = self._replies = -1

    def _log_tail(self) -> str:
        try:
            with self._log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - 8192))
                lines = log.read().decode(errors="replace").splitlines()
        except OSError as error:
            return str(error)
        return "\n".join(lines[-_TAIL_LINES:])

    def _warm_up(self, command: Mapping[str, Any]) -> WarmUp:
        begin = time.perf_counter_ns()
        told = self._request(command)
        return reply.warm_up(told, elapsed_ns=time.perf_counter_ns() - begin)

    def _request(self, command: Mapping[str, Any]) -> Any:
        """Send one command and wait, without polling, for its reply."""
        self._send(command)
        return self._answer()

    def _send(self, command: Mapping[str, Any]) -> None:
        try:
            _write(self._commands, json.dumps(command, allow_nan=False).encode() + b"\n")
        except BrokenPipeError:
            raise self._lost() from None

    def _answer(self, *, meanwhile: Callable[[], None] | None = None) -> Any:
        return reply.content(self._read_line(meanwhile))

    def _read_line(self, meanwhile: Callable[[], None] | None) -> bytes:
        """Sleep until a line has come; only with ``meanwhile`` wake up in between."""
        poll = select.poll()
        poll.register(self._replies, select.POLLIN | select.POLLHUP)
        deadline = time.monotonic() + self._timeout_s
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0:
            searched = len(self._buffer)
            if searched > _LARGEST_REPLY:
                raise reply.garbled(f"a reply of more than {_LARGEST_REPLY >> 20} MiB")
            left = max(0.0, deadline - time.monotonic())
            if not poll.poll(1000 * (left if meanwhile is None else min(left, TELL_S))):
                if meanwhile is not None and left > TELL_S:
                    meanwhile()
                    continue
                error = ModelError(
                    f"no answer within {self._timeout_s:g} s",
                    evidence=self._log_tail(),
                    remedy="a longer step timeout, or a smaller model",
                )
                raise WorkerLost("hung", error)
            piece = os.read(self._replies, 1 << 20)
            if not piece:
                raise self._lost()
            self._buffer += piece
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    def _lost(self) -> WorkerLost:
        """The pipe closed: wait for the exit status, which says why."""
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return reply.garbled("it closed its pipe and went on")
        how = f"exit code {code}" if code >= 0 else f"killed by {_signal_name(-code)}"
        remedy = "it may have run out of memory" if code == -signal.SIGKILL else ""
        return WorkerLost("crashed", ModelError(f"the worker ended: {how}", evidence=self._log_tail(), remedy=remedy))

    def _signal(self, number: int) -> None:
        try:
            os.killpg(self.pid, number)
        except ProcessLookupError:
            return  # already gone; whoever talks to it next finds out why
        except PermissionError as error:
            if number == signal.SIGSTOP:
                self._stop = False
                return
            raise MeasurementInvalid("a worker cannot be signalled", evidence=str(error)) from error


def _environment(description: TargetDescription, *, threads: int, pad: int) -> dict[str, str]:
    """The parent's environment, every thread pool's count, the target's own variables, and the random pad."""
    return {
        **os.environ,
        **dict.fromkeys(_POOL_VARIABLES, str(threads)),
        **description.environment,
        "TURNKEY_PAD": "x" * pad,
    }


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
