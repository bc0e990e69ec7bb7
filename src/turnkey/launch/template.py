"""The template as the call sees it: started once, asked for a warden per input, and gone with the call.

A template that refuses (its warm-up failed, a forked child could not compute), or that dies, is lost: what it had not
started yet is started afresh, and so is everything after it. That is said once, as a note.
"""

from __future__ import annotations

import json
import os
import re
import select
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

from turnkey.launch.scratch import remove_scratch, scratch_name
from turnkey.launch.warden_process import started
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline import durable
from turnkey.pipeline.tool import Steps

_EARLY_VARIABLES = re.compile(
    rb"\b(OMP|GOMP|KMP|MKL|OPENBLAS|BLIS|NUMEXPR|VECLIB|ATEN|PYTORCH|TORCH|TORCHINDUCTOR|CUDA|NCCL|ORT|ONNX|LD|MALLOC)_[A-Z_]+"
)
_SETS_VARIABLES = re.compile(rb"\b(environ|putenv)\b")
_LARGEST_MESSAGE = 1 << 16
_LARGEST_SCRIPT = 4 << 20
_REPLY_SECONDS = 5.0


def can_be_forked(item: WorkItem) -> bool:
    """Whether an input finds in a fork what it would find in a fresh interpreter.

    A script that sets variables which libraries read when they are loaded wants them loaded afterwards; so does one
    that cannot be read here, or is too large to look at.
    """
    if not hasattr(os, "pidfd_open") or item.verbose:
        return False
    path = item.absolute_path
    if path.suffix != ".py":
        return True
    try:
        with open(path, "rb") as file:
            source = file.read(_LARGEST_SCRIPT + 1)
    except OSError:
        return False
    if len(source) > _LARGEST_SCRIPT:
        return False
    return not (_SETS_VARIABLES.search(source) and _EARLY_VARIABLES.search(source))


class Template:
    """One template process.

    Args:
        steps: what its wardens' inputs go through; it warms up for these.
        log: what it writes.

    Raises:
        InputError: the log cannot be written or no process can be started.

    Attributes:
        refusal: why it is lost; empty as long as it is not.
        is_ready: whether it has warmed up.
    """

    def __init__(self, steps: Steps, *, log: Path) -> None:
        self.refusal = ""
        self.is_ready = False
        self.wardens: dict[int, ForkedWarden] = {}
        durable.write_bytes(log, b"")
        self._log = log
        self._scratch = scratch_name()
        self._channel, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            with open(log, "ab") as output:
                sequence = json.dumps([[tool, dict(values)] for tool, values in steps])
                arguments = [str(theirs.fileno()), sequence, str(self._scratch)]
                self._process = started("template_process", arguments, output.fileno(), (theirs.fileno(),))
        except BaseException:
            self._channel.close()
            raise
        finally:
            theirs.close()
        self.pid = self._process.pid

    @property
    def descriptor(self) -> int | None:
        """Becomes readable when `read` has something to learn; None once it is lost."""
        return None if self.refusal else self._channel.fileno()

    def fork(self, item: WorkItem, path: Path, messages: int, lifeline: int, *, log: Path) -> ForkedWarden:
        """Ask for a warden. One that cannot be had is lost at once, or later when the template is.

        Raises:
            InputError: the log cannot be written.
        """
        durable.write_bytes(log, b"")
        warden = ForkedWarden(self)
        if self.refusal:
            return warden
        request = json.dumps({"number": item.number, "item": str(path)}).encode()
        output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            socket.send_fds(self._channel, [request], [messages, lifeline, output])
            self.wardens[item.number] = warden
        except OSError:
            self.read()  # what it said before it ended
            self._lose("it ended")
        finally:
            os.close(output)
        return warden

    def read(self, seconds: float = 0.0) -> None:
        """Take in what it says within so many seconds."""
        while not self.refusal:
            ready, _, _ = select.select([self._channel], [], [], seconds)
            if not ready:
                return
            try:
                content = self._channel.recv(_LARGEST_MESSAGE)
            except ConnectionResetError:  # told once, before what lies in the queue: its last words
                continue
            if not content:
                self._lose("it ended")
                return
            self._take(json.loads(content))
            seconds = 0.0

    def give_up(self) -> None:
        """Lose it if it is still warming up: a call that was interrupted does not wait for that."""
        self.read()
        if not self.is_ready and not self.refusal:
            self._process.kill()
            self._lose("it was interrupted while it warmed up")

    def close(self) -> None:
        """Let it end, and see that it does; its wardens go on to their own ends."""
        self._channel.close()
        with suppress(subprocess.TimeoutExpired):
            if self.is_ready:
                self._process.wait(timeout=_REPLY_SECONDS)
        self._process.kill()
        self._process.wait()
        remove_scratch(self._scratch)  # there only if it was killed while it warmed up

    def _take(self, message: dict[str, object]) -> None:
        if "ready" in message:
            self.is_ready = True
        elif "refused" in message:
            self._lose(str(message["refused"]))
        elif "started" in message:
            self.wardens[int(str(message["started"]))].pid = int(str(message["pid"]))
        elif "ended" in message:
            self.wardens.pop(int(str(message["ended"]))).exit_code = int(str(message["exit_code"]))

    def _lose(self, reason: str) -> None:
        self.refusal = self.refusal or f"{reason} (log: {self._log})"


class ForkedWarden:
    """A warden that a template was asked for; see `turnkey.launch.warden_process.WardenProcess`."""

    descriptor = None

    def __init__(self, template: Template) -> None:
        self._template = template
        self.pid: int | None = None
        self.exit_code: int | None = None

    @property
    def is_lost(self) -> bool:
        return bool(self._template.refusal) and self.pid is None

    def poll(self) -> int | None:
        if self.exit_code is None and self._template.refusal and self.pid is not None and not _exists(self.pid):
            self.exit_code = 1  # nobody is left who could know; the warden's last message tells what matters
        return self.exit_code

    def wait(self, seconds: float) -> int | None:
        until = time.monotonic() + seconds
        while self.poll() is None and not self.is_lost and time.monotonic() < until:
            if self._template.refusal:
                time.sleep(0.02)
            else:
                self._template.read(min(0.2, seconds))
        return self.poll()

    def kill(self) -> None:
        if self.pid is not None and self.poll() is None:
            with suppress(ProcessLookupError):
                os.kill(self.pid, 9)
            self.wait(_REPLY_SECONDS)


def _exists(process: int) -> bool:
    """Whether a process that is not our child still runs; one that is dead but not collected does not."""
    try:
        with open(f"/proc/{process}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
