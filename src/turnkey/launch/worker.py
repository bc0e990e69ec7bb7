"""The process of one isolated input: ``main([ITEM.json, MESSAGES, LIFELINE])`` in a fresh interpreter, or
`watch_over` in a fork of the template.

``MESSAGES`` and ``LIFELINE`` are descriptors that the call passed on (see `turnkey.launch.isolation`). What the worker
has to say goes as JSON lines to MESSAGES, which has nothing to do with the standard output: scripts may print what
they like. The lines are ``{"event": …}``, ``{"result": …}`` and, from the warden, ``{"ended": …}``.
"""

from __future__ import annotations

import faulthandler
import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

from turnkey.launch.limits import Limits
from turnkey.launch.scratch import make_scratch, remove_scratch
from turnkey.launch.shared_flags import Flags
from turnkey.launch.warden import STACKS_SIGNAL, supervise
from turnkey.launch.work_item import WorkItem, read_work_item
from turnkey.pipeline.events import Event


def main(arguments: list[str]) -> int:
    """In a fresh interpreter: see `watch_over`."""
    messages, lifeline = int(arguments[1]), int(arguments[2])
    return watch_over(read_work_item(Path(arguments[0])), messages=messages, lifeline=lifeline)


def watch_over(item: WorkItem, *, messages: int, lifeline: int) -> int:
    """Be the warden of one item: supervise the work on it, and say how it ended.

    Returns:
        The exit code of this process, which has to end with it; the worker, a fork of it, leaves here too.
    """
    for descriptor in (messages, lifeline):
        os.set_inheritable(descriptor, False)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # an interrupt comes through the lifeline
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # the call holds it back while it starts us

    scratch = Path(item.scratch) if item.scratch is not None else None
    if scratch is not None:
        make_scratch(scratch)
    ending = supervise(
        lambda flags: _work(item, messages, flags),
        lifeline=lifeline,
        limits=Limits(
            seconds=item.timeout,
            memory_bytes=item.memory_limit,
            disk_bytes=item.disk_limit,
            output_bytes=item.output_limit,
            build=item.paths.directory,
            scratch=scratch,
            group=item.group,
        ),
    )
    if scratch is not None:
        remove_scratch(scratch)
    if item.group is not None:
        item.group.remove()
    try:
        _tell(messages, {"ended": asdict(ending)})
    except BrokenPipeError:  # the call is dead; nobody waits for this
        return 1
    return 0


def _work(item: WorkItem, messages: int, flags: Flags) -> int:
    """In the worker: send the input through its sequence."""
    from turnkey.launch.execution import run_item  # after the fork, so that the warden stays small

    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Descriptor 2 rather than a file: at the time of a crash it is the log of the tool at work.
    faulthandler.enable(file=2, all_threads=True)
    faulthandler.register(STACKS_SIGNAL, file=2, all_threads=True, chain=False)
    os.chdir(item.working_directory)
    os.environ.update(item.environment)
    if item.scratch is not None:
        os.environ["TMPDIR"] = item.scratch

    def tell(event: Event) -> None:
        flags.follow(event)
        if event.kind != "input-finished":  # the call says that itself, after the survivors are gone
            _tell(messages, {"event": event.to_dict()})

    try:
        result = run_item(item, listen=tell)
    except KeyboardInterrupt:
        return 130
    _tell(messages, {"result": result.to_dict()})
    flags.is_done = True
    return 0


def _tell(messages: int, content: dict[str, Any]) -> None:
    """One line; the break before it ends what a killed writer or a stray one has left half-written."""
    rest = f"\n{json.dumps(content)}\n".encode()
    while rest:
        rest = rest[os.write(messages, rest) :]
