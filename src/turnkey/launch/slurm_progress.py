"""What a Slurm job tells the call that waits for it, while it works: events, a line of JSON each, in one file per job.

The file lies in the call's folder, beside the items and results, so it asks nothing further of a cluster. It is for
the eye only: results come home as files of their own, and a line that cannot be written or read changes nothing.

Trade-offs: the call looks every few seconds, and a shared file system may show a line later than that.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from turnkey.pipeline.events import Event, Listener

_TOLD = frozenset({"tool-waiting", "tool-started", "tool-progress", "tool-finished", "listing", "note"})
"""When an input begins and ends is not among them: the call learns that from Slurm and from the result."""

_AT_ONCE_BYTES = 1 << 20


def telling(path: Path) -> Listener:
    """In the job: a listener that adds to the file. A job that Slurm starts again goes on in the same one."""

    def tell(event: Event) -> None:
        if event.kind not in _TOLD:
            return
        with suppress(OSError):  # a full disk; who works is not to be ended by who watches
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(path, "ab") as file:  # closed after each line: on NFS others see what a closed file holds
                file.write(b"\n" + json.dumps(event.to_dict()).encode() + b"\n")  # the first ends a half line

    return tell


class JobProgress:
    """In the call: what one job has told, taken as it comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken_bytes = 0

    def new_events(self) -> list[Event]:
        """Those since the last look. None of them ``measures``: what is drawn here disturbs no other machine."""
        try:
            with open(self._path, "rb") as file:
                file.seek(self._taken_bytes)
                content = file.read(_AT_ONCE_BYTES)
        except OSError:  # it has told nothing yet
            return []
        end = content.rfind(b"\n") + 1
        if not end and len(content) == _AT_ONCE_BYTES:  # no event of ours is that long
            end = len(content)
        self._taken_bytes += end
        return [event for line in content[:end].splitlines() if (event := _event(line)) is not None]


def _event(line: bytes) -> Event | None:
    try:
        event = Event.from_dict(json.loads(line))
        return replace(event, measures=False) if event.kind in _TOLD else None
    except (ValueError, TypeError, AttributeError):
        return None
