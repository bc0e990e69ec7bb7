"""One isolated input as the call sees it: its warden's process, the pipe of its messages, and its lifeline.

Nothing is ever learned by silence: a worker's end is the warden's last message; the warden's own end is its exit code.
"""

from __future__ import annotations

import json
import os
import select
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from turnkey.launch.process_tree import kill_session
from turnkey.launch.result import Result
from turnkey.launch.scratch import remove_scratch
from turnkey.launch.warden import TERMINATION_SECONDS, Ending
from turnkey.launch.warden_process import WardenProcess
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Event, Listener

_LONGEST_LINE_BYTES = 8 * 1024 * 1024
_READS = 64
"""At a time; each takes at most what a pipe holds."""

Start = Callable[[int, int], WardenProcess]
"""Starts a warden, given the writing end of the messages and the reading end of the lifeline."""


class IsolatedProcess:
    """The process of one item, from its start on.

    Args:
        log: what the worker writes outside of any tool.
        start: raises InputError if nothing can be started.

    Attributes:
        tool: name of the tool at work; empty if none is.
        result: what the worker sent when all was done.
        ending: what the warden said at the end.
        began: monotonic seconds.
    """

    def __init__(self, item: WorkItem, *, log: Path, listen: Listener, start: Start) -> None:
        self.item = item
        self.log = log
        self.tool = ""
        self.result: Result | None = None
        self.ending: Ending | None = None
        self.was_interrupted = False
        self.began = time.monotonic()
        self._listen = listen
        self._buffer = b""
        self._is_open = True
        self._messages, messages_end = os.pipe()
        lifeline_end, self._lifeline = os.pipe()
        try:
            self._warden = start(messages_end, lifeline_end)
        except BaseException:
            os.close(self._messages)
            os.close(self._lifeline)
            raise
        finally:
            os.close(messages_end)
            os.close(lifeline_end)

    @property
    def exit_code(self) -> int:
        """Of the warden; only when it has ended."""
        code = self._warden.poll()
        return 1 if code is None else code

    @property
    def is_lost(self) -> bool:
        """Whether it was never started and never will be."""
        return self._warden.is_lost

    @property
    def has_ended(self) -> bool:
        return self._warden.poll() is not None

    @property
    def descriptors(self) -> list[int]:
        """Readable when something has happened."""
        messages = [self._messages] if self._is_open else []
        return messages if self._warden.descriptor is None else [*messages, self._warden.descriptor]

    @property
    def needs_looks(self) -> bool:
        """Whether its end announces itself by no descriptor, so that one has to look now and then."""
        return not self._is_open and self._warden.descriptor is None

    def read(self) -> None:
        """Take in what has come, without waiting; a worker that writes without end is not listened to for ever."""
        for _ in range(_READS):
            if not self._is_open or not select.select([self._messages], [], [], 0.0)[0]:
                return
            content = os.read(self._messages, 1 << 16)
            if not content:  # every writer is gone; the exit code will follow
                self._is_open = False
                return
            *lines, self._buffer = (self._buffer + content).split(b"\n")
            if len(self._buffer) > _LONGEST_LINE_BYTES:
                self._buffer = b""
            for line in lines:
                self._take(line)

    def interrupt(self) -> None:
        """Ask it to stop, as Ctrl-C does; the second time at once."""
        if self.was_interrupted:
            self.abandon()
            return
        self.was_interrupted = True
        with suppress(OSError):
            os.write(self._lifeline, b"i")

    def abandon(self) -> None:
        """Let go of its lifeline: it is ended without further words."""
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def clean_up(self) -> None:
        """End it if it has not ended, with all that it started, and close the pipes; a second time does nothing."""
        self.abandon()
        if not self.has_ended:
            self._warden.wait(2 * TERMINATION_SECONDS)
        self.read()
        if self.ending is None and self._warden.pid is not None:
            kill_session(self._warden.pid)
        self._warden.kill()
        if self.item.scratch is not None:
            remove_scratch(Path(self.item.scratch))
        if self.item.group is not None:
            self.item.group.remove()
        self._is_open = False
        if self._messages >= 0:
            os.close(self._messages)
            self._messages = -1

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
