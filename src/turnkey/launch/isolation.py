"""Inputs in processes of their own: the crash, hang or hunger of one ends nothing but itself.

One loop in the call's only thread looks after all that run: it starts up to ``jobs`` of them, sleeps until one of them
says something or ends, and passes on what it said. Each is a warden with a worker (`turnkey.launch.warden`), started
as a fresh interpreter or, where that makes no difference to the input, forked from a warmed template.
"""

from __future__ import annotations

import select
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace

from turnkey.errors import InputError, TurnkeyError
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.isolated_process import IsolatedProcess
from turnkey.launch.isolated_result import isolated_result
from turnkey.launch.memory_group import MemoryGroup
from turnkey.launch.out_of_memory import oom_kills
from turnkey.launch.result import Finish, Result
from turnkey.launch.scratch import scratch_name
from turnkey.launch.template import Template, can_be_forked
from turnkey.launch.warden import TERMINATION_SECONDS
from turnkey.launch.warden_process import FreshWarden, WardenProcess
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Listener

_INTERRUPT_SECONDS = TERMINATION_SECONDS + 2.0
_LOOK_SECONDS = 0.2


def run_isolated(
    items: Iterable[WorkItem],
    *,
    call: CallFolder,
    jobs: int,
    template: Template | None,
    listen: Listener,
    finish: Finish,
) -> None:
    """Work on items, so many at a time, each in a process of its own.

    Args:
        items: taken one by one, when there is room for the next.
        call: keeps the items, for their workers, and what those write outside of tools.
        template: where wardens are forked; None starts a fresh interpreter for each.

    Raises:
        KeyboardInterrupt: Ctrl-C, after all workers have ended and their results were told.
    """
    _Loop(iter(items), call=call, jobs=jobs, template=template, listen=listen, finish=finish).run()


class _Loop:
    """One call's isolated inputs."""

    def __init__(
        self,
        items: Iterator[WorkItem],
        *,
        call: CallFolder,
        jobs: int,
        template: Template | None,
        listen: Listener,
        finish: Finish,
    ) -> None:
        self._items = items
        self._call = call
        self._jobs = jobs
        self._template = template
        self._listen = listen
        self._finish = finish
        self._running: dict[int, IsolatedProcess] = {}
        self._goes_on = True
        self._interrupted_until: float | None = None
        self._kills_seen = oom_kills()
        self._is_loss_told = False

    def run(self) -> None:
        try:
            while self._goes_on or self._running:
                try:
                    self._turn()
                except KeyboardInterrupt:
                    self._interrupt()
        finally:
            for process in self._running.values():  # only after a defect of ours
                process.clean_up()
        if self._interrupted_until is not None:
            raise KeyboardInterrupt

    def _turn(self) -> None:
        """Start what there is room for, wait until something happens, and see to what has ended."""
        while self._goes_on and len(self._running) < self._jobs:
            item = next(self._items, None)
            if item is None:
                self._goes_on = False
            else:
                self._start(item)
        if not self._running:
            return
        self._wait()
        for process in list(self._running.values()):
            process.read()
            if process.is_lost and self._interrupted_until is None:
                process.clean_up()
                self._tell_loss(process.item)
                self._start(process.item)
            elif process.is_lost or process.has_ended:
                self._close(process)

    def _start(self, item: WorkItem) -> None:
        def start(messages: int, lifeline: int) -> WardenProcess:
            template = self._template
            if template is not None and not template.refusal and can_be_forked(item):
                return template.fork(item, path, messages, lifeline, log=log)
            return FreshWarden(path, messages, lifeline, log=log, verbose=item.verbose)

        self._running.pop(item.number, None)
        try:
            item = _with_places(item)
            path, log = self._call.keep_item(item), self._call.log(item.number)
            with _interrupts_held():  # else one could come between the start and our knowing of it
                process = IsolatedProcess(item, log=log, listen=self._listen, start=start)
                self._running[item.number] = process
        except (TurnkeyError, OSError) as error:
            if item.group is not None:
                item.group.remove()
            self._told(item, Result.failed(item, _in_three_parts(error)))

    def _wait(self) -> None:
        processes = list(self._running.values())
        watched = [descriptor for process in processes for descriptor in process.descriptors]
        if self._template is not None and self._template.descriptor is not None:
            watched.append(self._template.descriptor)
        # Asleep until something happens: whoever wakes up now and then disturbs what is being timed.
        patience = _LOOK_SECONDS if any(process.needs_looks for process in processes) else None
        if self._interrupted_until is not None:
            if time.monotonic() > self._interrupted_until:
                for process in processes:
                    process.abandon()
            patience = _LOOK_SECONDS
        if not any(process.is_lost or process.has_ended for process in processes):
            select.select(watched, [], [], patience)
        if self._template is not None:
            self._template.read()

    def _close(self, process: IsolatedProcess) -> None:
        process.clean_up()
        kills = oom_kills()
        result = isolated_result(process, out_of_memory=_more(self._kills_seen, kills))
        self._kills_seen = kills
        result = replace(result, seconds=time.monotonic() - process.began)
        del self._running[process.item.number]
        self._told(process.item, result)

    def _told(self, item: WorkItem, result: Result) -> None:
        self._listen(result.finished_event)
        self._goes_on = self._finish(item, result) and self._goes_on

    def _tell_loss(self, item: WorkItem) -> None:
        if self._template is not None and not self._is_loss_told:
            self._is_loss_told = True
            text = f"no prewarmed workers any more: {self._template.refusal}; each input gets a new interpreter"
            self._listen(item.note(text))

    def _interrupt(self) -> None:
        self._goes_on = False
        self._interrupted_until = self._interrupted_until or time.monotonic() + _INTERRUPT_SECONDS
        if self._template is not None:
            self._template.give_up()
        for process in self._running.values():
            process.interrupt()


def _with_places(item: WorkItem) -> WorkItem:
    """The item with what it has for itself alone: temporary files, and a control group if its memory is limited."""
    scratch = scratch_name()
    group = MemoryGroup.made(scratch.name, item.memory_limit) if item.memory_limit is not None else None
    return replace(item, scratch=str(scratch), memory_group=str(group.directory) if group else None)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits; only the main thread gets it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _in_three_parts(error: TurnkeyError | OSError) -> TurnkeyError:
    if isinstance(error, TurnkeyError):
        return error
    return InputError(
        "no process can be started for this input",
        evidence=error.strerror or str(error),
        remedy="fewer at a time: --jobs N; or raise the limits: ulimit -n, ulimit -u",
    )


def _more(before: int | None, after: int | None) -> bool:
    return before is not None and after is not None and after > before
