"""Inputs as Slurm jobs: submit one array, wait for our own jobs only, bring the results home as files.

What is believed, in this order: the result file that a job wrote; what the controller says (``squeue``, also of jobs
that have just ended); accounting (``sacct``), where it works. A job that leaves the queue without a result failed from
outside, and its log is the evidence.

The ids of the jobs are written to ``<call>/slurm/jobs.json`` as soon as Slurm has told them. A later call with
``--resume`` finds jobs of equal items that are still in the queue, and waits for those instead of submitting twice:
so a call can be killed, or be told not to wait.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from turnkey.errors import InputError, ModelError, TurnkeyError
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.execution import finished_before, finished_event, started_event
from turnkey.launch.last_words import last_words
from turnkey.launch.options import Options
from turnkey.launch.result import SUBMITTED, Result
from turnkey.launch.slurm_job import PROBE
from turnkey.launch.slurm_queue import WAITING, JobStatus, QueueUnreachable, ask_accounting, ask_queue, cancel
from turnkey.launch.slurm_submission import submit, submit_probe
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline import durable
from turnkey.pipeline.aftermath import close_build
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import Event, Listener
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.sequence import INTERRUPTED
from turnkey.pipeline.state_file import load_state

_FILE_SECONDS = 1.0
_QUEUE_SECONDS = 5.0
_VISIBLE_SECONDS = 20.0
"""How long a shared file system may take to show what another node wrote."""
_CANCEL_SECONDS = 15.0

Finish = Callable[[WorkItem, Result], bool]


@dataclass(slots=True, kw_only=True)
class _Job:
    """One job that we wait for.

    Attributes:
        call: the folder that it writes to; that of an earlier call for a job that was found in the queue.
        number: of the item in that folder.
        status: what Slurm said last.
        gone_since: when it was first seen to have ended without a result file; monotonic seconds.
    """

    id: str
    item: WorkItem
    call: CallFolder
    number: int
    status: JobStatus | None = None
    is_told: bool = False
    began: float = 0.0
    gone_since: float | None = None

    @property
    def log(self) -> Path:
        return self.call.slurm / f"{self.id}_0_log.out"


def run_on_slurm(
    items: Iterable[WorkItem], *, call: CallFolder, options: Options, listen: Listener, finish: Finish
) -> None:
    """Work on items as Slurm jobs, and wait for them unless the call is not to.

    Args:
        finish: is told each result; of a job that is not waited for its status is ``incomplete``.

    Raises:
        InputError: the nodes do not see the cache.
        UsageError: Slurm refuses the jobs.
        KeyboardInterrupt: Ctrl-C, after our jobs were cancelled.
    """
    fresh: list[WorkItem] = []
    for item in items:
        before = finished_before(item)
        if before is None:
            fresh.append(item)
        else:
            listen(finished_event(before))
            finish(item, before)
    jobs = _found_in_queue(fresh, options)
    found = {id(job.item) for job in jobs}
    fresh = [item for item in fresh if id(item) not in found]
    if jobs:
        listen(_note(jobs[0].item, f"{len(jobs)} jobs of an earlier call are still in the queue; waiting for those"))
    try:
        if fresh:
            _check_nodes(fresh[0], call, options, listen)
            jobs += _submitted(fresh, call, options, listen)
        if options.wait:
            _Waiting(jobs, listen, finish).run()
            return
    except KeyboardInterrupt:
        cancel(job.id for job in jobs)
        raise
    for job in jobs:
        finish(job.item, _result(job, SUBMITTED, f"submitted as job {job.id}; --resume collects it"))


class _Waiting:
    """Waits for jobs until all have ended, or Ctrl-C."""

    def __init__(self, jobs: list[_Job], listen: Listener, finish: Finish) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._listen = listen
        self._finish = finish
        self._next_question = 0.0
        self._is_unreachable = False
        self._is_stopping = False

    def run(self) -> None:
        try:
            while self._jobs:
                self._look()
                if self._jobs:
                    time.sleep(_FILE_SECONDS)
        except KeyboardInterrupt:
            self._cancel_all()
            raise

    def _look(self) -> None:
        """Take results that have come; now and then ask Slurm for the others."""
        for job in list(self._jobs.values()):
            try:
                result = job.call.read_result(job.number)
            except TurnkeyError as error:
                self._end(job, _failed(job, "error", error))
                continue
            if result is not None:
                self._end(job, _with_state(result))
        if time.monotonic() >= self._next_question and self._jobs:
            self._ask()
            self._next_question = time.monotonic() + _QUEUE_SECONDS

    def _ask(self) -> None:
        try:
            known = ask_queue(self._jobs)
        except QueueUnreachable as error:
            if not self._is_unreachable:
                self._listen(_note(next(iter(self._jobs.values())).item, f"Slurm does not answer, waiting: {error}"))
            self._is_unreachable = True
            return
        self._is_unreachable = False
        for job in list(self._jobs.values()):
            status = known.get(job.id) or ask_accounting(job.id)
            if status is not None and status.is_active:
                self._note_activity(job, status)
            elif self._is_stopping and not job.is_told and (status is None or status.state == "CANCELLED"):
                # By us, before it began (the controller forgets such tasks of an array): its input was not started.
                del self._jobs[job.id]
            elif job.gone_since is None:
                job.status, job.gone_since = status, time.monotonic()
            elif time.monotonic() - job.gone_since > _VISIBLE_SECONDS or (status and status.state in _FINAL):
                self._end(job, _ended_from_outside(job, status))

    def _note_activity(self, job: _Job, status: JobStatus) -> None:
        job.gone_since = None
        if job.status is not None and job.is_told and status.state in WAITING and job.status.state not in WAITING:
            self._listen(_note(job.item, f"job {job.id} was put back into the queue; it will go on where it was"))
        if status.state not in WAITING and not job.is_told:
            job.is_told, job.began = True, time.monotonic()
            self._listen(started_event(job.item))
        job.status = status

    def _end(self, job: _Job, result: Result) -> None:
        del self._jobs[job.id]
        self._listen(finished_event(result))
        if not self._finish(job.item, result) and not self._is_stopping:
            self._is_stopping = True
            cancel(self._jobs, only_waiting=True)  # those at work come to their end, as they do on one machine
            self._next_question = 0.0

    def _cancel_all(self) -> None:
        """Cancel what is left, and say in its builds that it was interrupted."""
        cancel(self._jobs)
        until = time.monotonic() + _CANCEL_SECONDS
        with suppress(QueueUnreachable):
            while time.monotonic() < until and any(status.is_active for status in ask_queue(self._jobs).values()):
                time.sleep(0.5)
        for job in list(self._jobs.values()):
            self._end(job, _failed(job, "killed", ModelError(INTERRUPTED, evidence=f"job {job.id} was cancelled")))


_FINAL = frozenset(
    {"TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "PREEMPTED", "FAILED"}
)


def _check_nodes(item: WorkItem, call: CallFolder, options: Options, listen: Listener) -> None:
    """One job alone, before the others: does a node see the call's folder?

    Raises:
        InputError: it does not.
    """
    job = submit_probe(call=call, options=options)
    listen(_note(item, f"job {job} asks a node whether it sees {options.cache_dir}"))
    path, log = call.slurm / PROBE, call.slurm / f"{job}_0_log.out"
    gone_since: float | None = None
    try:
        while not path.exists():
            time.sleep(_FILE_SECONDS)
            status = _status(job)
            if status is not None and status.is_active:
                gone_since = None
                continue
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > _VISIBLE_SECONDS or (status and status.state in _FINAL):
                if path.exists():
                    return
                said = f"{status.state} {status.reason}".strip() if status else "not in the queue any more"
                raise InputError(
                    "a node of the cluster cannot work with this cache",
                    evidence=f"job {job}: {said}; end of {log}:\n{last_words(log)}",
                    remedy="name a directory that login and compute nodes see under one path: turnkey -d DIR …; "
                    "docs/slurm.md lists what is needed",
                )
    except KeyboardInterrupt:
        cancel([job])
        raise


def _status(job: str) -> JobStatus | None:
    try:
        return ask_queue([job]).get(job) or ask_accounting(job)
    except QueueUnreachable:
        return JobStatus(state="PENDING")


def _submitted(items: list[WorkItem], call: CallFolder, options: Options, listen: Listener) -> list[_Job]:
    for item in items:
        call.keep_item(item)
    ids = submit(items, call=call, options=options)
    try:
        jobs = [_Job(id=job, item=item, call=call, number=item.number) for job, item in ids.items()]
        kept = {job.id: {"number": job.number, "identity": _identity(job.item)} for job in jobs}
        durable.write_text(call.slurm / "jobs.json", json.dumps({"version": 1, "jobs": kept}, indent=1) + "\n")
        listen(_note(items[0], f"{len(jobs)} jobs submitted: {jobs[0].id} to {jobs[-1].id}, logs in {call.slurm}"))
    except BaseException:  # nobody would know of them any more
        cancel(ids)
        raise
    return jobs


def _found_in_queue(items: list[WorkItem], options: Options) -> list[_Job]:
    """Jobs of earlier calls on this cache that do what items of this call ask for; only for a call that resumes."""
    if not options.resume or not items:
        return []
    wanted = {_identity(item): item for item in items}
    found: dict[str, _Job] = {}
    for path in sorted((options.cache_dir / ".calls").glob("*/slurm/jobs.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # not ours, or cut off: submit anew
            for job, kept in json.loads(path.read_text())["jobs"].items():
                item = wanted.get(kept["identity"])
                if item is not None and all(other.item is not item for other in found.values()):
                    folder = CallFolder(directory=path.parent.parent)
                    found[str(job)] = _Job(id=str(job), item=item, call=folder, number=int(kept["number"]))
    try:
        known = ask_queue(found) if found else {}
    except QueueUnreachable:
        known = {}
    return [job for job in found.values() if job.id in known and known[job.id].is_active]


def _identity(item: WorkItem) -> str:
    """The same for items that would do the same work on the same build."""
    content = [str(item.absolute_path), item.target, item.build_name, [list(step) for step in item.steps], item.seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _ended_from_outside(job: _Job, status: JobStatus | None) -> Result:
    """The result of a job that left no result file."""
    said = (
        f"{status.state} {status.reason}".strip() if status else "it left the queue, and accounting does not know it"
    )
    tail = f"end of {job.log}:\n{last_words(job.log)}"
    if status is not None and status.state == "TIMEOUT":
        what, remedy = f"job {job.id} reached Slurm's time limit", "give it more time: --timeout SECONDS"
        return _failed(job, "timeout", ModelError(what, evidence=f"{said}; {tail}", remedy=remedy))
    remedy = f"scontrol show job {job.id}; then again with --resume"
    return _failed(
        job, "killed", ModelError(f"job {job.id} ended without a result", evidence=f"{said}; {tail}", remedy=remedy)
    )


def _failed(job: _Job, status: str, error: TurnkeyError) -> Result:
    """A failure that only we can tell; the build says it too, where it can be written."""
    paths = BuildPaths(Path(job.item.cache_dir), job.item.build_name)
    result = _result(job, status, error.what)
    with suppress(TurnkeyError):  # the result is what is left to say it
        state = close_build(paths, status=status, tool="", reason=error.what, error_log=str(error))
        result = replace(result, state=state)
    return replace(result, failure=Failure(error=error))


def _result(job: _Job, status: str, reason: str) -> Result:
    return Result(
        input=job.item.input,
        status=status,
        build_name=job.item.build_name,
        cache_dir=Path(job.item.cache_dir),
        reason=reason,
        seconds=time.monotonic() - job.began if job.began else 0.0,
    )


def _with_state(result: Result) -> Result:
    with suppress(TurnkeyError):  # an input that failed before its first write has none
        return replace(result, state=load_state(state_path=BuildPaths(result.cache_dir, result.build_name).state))
    return result


def _note(item: WorkItem, text: str) -> Event:
    return Event(kind="note", input=item.input, build_name=item.build_name, text=text)
