"""What a worker tells its warden without a word: a few bytes of shared memory."""

from __future__ import annotations

import mmap
import struct
import time

from turnkey.pipeline.events import Event

_TURNING_POINTS = ("tool-waiting", "tool-started", "tool-finished", "input-finished")
"""Kinds of events after which another thing is done than before; a tool tells how far it is while it measures on."""


class Flags:
    """What a worker tells its warden in shared memory: whether a tool measures, how long tools waited for their turn
    on the machine, and whether the result was sent."""

    _WAITING = struct.Struct("=dd")
    """When the present wait began (monotonic clock; 0 if there is none), and the seconds of those before it."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, 2 + self._WAITING.size)

    def follow(self, event: Event) -> None:
        """Take from what is told whether a tool measures or waits now."""
        if event.kind in _TURNING_POINTS:
            self.measures = event.kind == "tool-started" and event.measures
            self.waits = event.kind == "tool-waiting"

    @property
    def measures(self) -> bool:
        return self._memory[0] == 1

    @measures.setter
    def measures(self, value: bool) -> None:
        self._memory[0] = int(value)

    @property
    def is_done(self) -> bool:
        return self._memory[1] == 1

    @is_done.setter
    def is_done(self, value: bool) -> None:
        self._memory[1] = int(value)

    @property
    def waits(self) -> bool:
        """Whether the tool waits for its turn on the machine."""
        return bool(self._WAITING.unpack_from(self._memory, 2)[0])

    @waits.setter
    def waits(self, value: bool) -> None:
        if value != self.waits:
            self._WAITING.pack_into(self._memory, 2, time.monotonic() if value else 0.0, self.waited_seconds)

    @property
    def waited_seconds(self) -> float:
        """Of all waits so far, the present one included."""
        since, before = self._WAITING.unpack_from(self._memory, 2)
        return float(before) + (time.monotonic() - since if since else 0.0)
