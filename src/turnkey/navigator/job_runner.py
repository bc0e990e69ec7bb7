"""Who performs jobs: a worker process that may die, or this process where the model cannot leave it.

A worker that crashes, or does not answer in time, costs the job that it was at: the next one gets a fresh process. It
runs in a session of its own, so that whatever it started ends with it.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Protocol

from turnkey import settings as environment_settings
from turnkey.errors import ConversionError, ModelError, TurnkeyError, from_dict
from turnkey.navigator.workbench import Workbench
from turnkey.navigator.worker import plain_error
from turnkey.pipeline.capture import captured, log_tail

_PROGRAM = "import sys; from turnkey.navigator.worker import main; raise SystemExit(main(sys.argv[1:]))"


class JobRunner(Protocol):
    """Performs jobs one after another."""

    def perform(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """The answer of one job. Raises TurnkeyError if it failed."""

    def close(self) -> None:
        """End what was started."""


class HereJobs:
    """Jobs in this process, for a model that cannot leave it. A crash here is a crash of the caller."""

    def __init__(self, bench: Workbench) -> None:
        self._bench = bench

    def perform(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """See `JobRunner.perform`."""
        with captured(Path(job["log"]), first_line=job["title"]):
            try:
                return self._bench.perform(job)
            except TurnkeyError:
                raise
            except Exception as error:
                raise from_dict(plain_error(error)) from error

    def close(self) -> None:
        """There is nothing to end."""


class WorkerJobs:
    """Jobs in a worker process.

    Args:
        context: plain JSON: what `turnkey.navigator.worker.workbench` is told.
        timeout_s: of one job.
    """

    def __init__(self, context: Mapping[str, Any], *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._directory = tempfile.TemporaryDirectory(prefix="turnkey-jobs-")
        self._context = Path(self._directory.name) / "context.json"
        self._context.write_text(json.dumps(context), encoding="utf-8")
        self._process: subprocess.Popen[bytes] | None = None
        self._answers: IO[bytes] | None = None
        self._buffer = b""

    @classmethod
    def of_files(cls, sets: Sequence[Path] = ()) -> WorkerJobs:
        """A worker without a source model: for jobs on files alone, within the time limit of the environment.

        Args:
            sets: directories of sample sets, for conversions of files.
        """
        context: dict[str, Any] = {"module": None, "sets": [str(each) for each in sets], "class_name": "", "facts": {}}
        return cls(context, timeout_s=environment_settings.timeout_seconds())

    def perform(self, job: Mapping[str, Any]) -> dict[str, Any]:
        """See `JobRunner.perform`."""
        process = self._started()
        assert process.stdin is not None, "it was made with a pipe"
        try:
            process.stdin.write(json.dumps(dict(job)).encode() + b"\n")
            process.stdin.flush()
        except BrokenPipeError:
            raise self._died(job) from None
        line = self._line(job)
        answer = json.loads(line)
        if "error" in answer:
            raise from_dict(answer["error"])
        found: dict[str, Any] = answer["answer"]
        return found

    def close(self) -> None:
        """End the worker and remove its files."""
        self._end()
        self._directory.cleanup()

    def _started(self) -> subprocess.Popen[bytes]:
        if self._process is not None and self._process.poll() is None:
            return self._process
        self._end()
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", _PROGRAM, str(self._context), str(writing)],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(writing,),
                start_new_session=True,
            )
        except OSError as error:
            os.close(reading)
            raise ModelError("no process can be started for conversions", evidence=str(error)) from error
        finally:
            os.close(writing)
        self._answers, self._buffer = os.fdopen(reading, "rb", buffering=0), b""
        return self._process

    def _line(self, job: Mapping[str, Any]) -> bytes:
        """The worker's answer, as soon as it comes; its death or the time limit end the wait."""
        assert self._answers is not None, "it was started"
        deadline = time.monotonic() + self._timeout_s
        while b"\n" not in self._buffer:
            left = deadline - time.monotonic()
            ready, _, _ = select.select([self._answers], [], [], max(0.0, left))
            if not ready:
                tail = log_tail(Path(job["log"]), lines=10)
                self._end()
                raise ConversionError(
                    f"not finished after {self._timeout_s:g} s",
                    evidence=tail,
                    remedy="give it more time: TURNKEY_TIMEOUT_SECONDS",
                )
            content = os.read(self._answers.fileno(), 1 << 16)
            if not content:
                raise self._died(job)
            self._buffer += content
        line, _, self._buffer = self._buffer.partition(b"\n")
        return line

    def _died(self, job: Mapping[str, Any]) -> ModelError:
        assert self._process is not None, "it was started"
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=10)
        code = self._process.returncode
        self._end()
        if code is None:
            how = "it closed its pipe"
        elif code < 0:
            how = f"signal {-code} ({signal.Signals(-code).name})"
        else:
            how = f"exit code {code}"
        return ModelError(
            f"the process ended while it was at {job['title']}: {how}", evidence=log_tail(Path(job["log"]), lines=10)
        )

    def _end(self) -> None:
        if self._process is not None:
            if self._process.stdin is not None:
                with suppress(OSError):
                    self._process.stdin.close()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=0.2)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self._process.pid, signal.SIGKILL)  # its session: what it started too
            self._process.wait()
            self._process = None
        if self._answers is not None:
            self._answers.close()
            self._answers = None
