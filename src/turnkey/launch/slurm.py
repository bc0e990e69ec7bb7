"""Inputs as Slurm jobs: submit one array, wait for our own jobs only, bring the results home as files.

What is believed, in this order: the result file that a job wrote; what the controller says (``squeue``, also of jobs
that have just ended); accounting (``sacct``), where it works. A job that leaves the queue without a result failed from
outside, and its log is the evidence.

A call can be killed, or be told not to wait: a later one with ``--resume`` finds its jobs, by the ledger of
`turnkey.launch.slurm_ledger`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import replace

from turnkey.errors import ModelError, TurnkeyError
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.last_words import last_words
from turnkey.launch.options import Options
from turnkey.launch.result import SUBMITTED, Finish, Result
from turnkey.launch.slurm_job import VISIBLE_SECONDS
from turnkey.launch.slurm_ledger import Job, jobs_in_queue, keep_jobs
from turnkey.launch.slurm_probe import check_nodes
from turnkey.launch.slurm_progress import JobProgress
from turnkey.launch.slurm_queue import WAITING, JobStatus, QueueUnreachable, ask_accounting, ask_queue, cancel
from turnkey.launch.slurm_submission import submit
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.aftermath import close_build
from turnkey.pipeline.events import Listener
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.sequence import INTERRUPTED

_FILE_SECONDS = 1.0
_QUEUE_SECONDS = 5.0
_CANCEL_SECONDS = 15.0


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
    fresh = list(items)
    jobs = jobs_in_queue(fresh, options)
    found = {id(job.item) for job in jobs}
    fresh = [item for item in fresh if id(item) not in found]
    if jobs:
        listen(jobs[0].item.note(f"{len(jobs)} jobs of an earlier call are still in the queue; waiting for those"))
    try:
        if fresh:
            check_nodes(fresh[0], call=call, options=options, listen=listen)
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

    def __init__(self, jobs: list[Job], listen: Listener, finish: Finish) -> None:
        self._jobs = {job.id: job for job in jobs}
        self._progress = {job.id: JobProgress(job.call.progress(job.number)) for job in jobs}
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
        ended = {call: call.ended() for call in {job.call for job in self._jobs.values()}}
        for job in [job for job in self._jobs.values() if job.number in ended[job.call]]:
            try:
                result = job.call.read_result(job.number)
            except TurnkeyError as error:
                self._end(job, _failed(job, "error", error))
                continue
            if result is not None:
                self._end(job, result.with_stored_state())
        if time.monotonic() >= self._next_question and self._jobs:
            self._ask()
            self._next_question = time.monotonic() + _QUEUE_SECONDS

    def _ask(self) -> None:
        try:
            known = ask_queue(self._jobs)
        except QueueUnreachable as error:
            if not self._is_unreachable:
                self._listen(next(iter(self._jobs.values())).item.note(f"Slurm does not answer, waiting: {error}"))
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
            elif time.monotonic() - job.gone_since > VISIBLE_SECONDS or (status and status.is_final):
                self._end(job, _ended_from_outside(job, status))

    def _note_activity(self, job: Job, status: JobStatus) -> None:
        job.gone_since = None
        if job.status is not None and job.is_told and status.state in WAITING and job.status.state not in WAITING:
            self._listen(job.item.note(f"job {job.id} was put back into the queue; it will go on where it was"))
        if status.state not in WAITING:
            if not job.is_told:
                self._tell_start(job)
            self._tell_progress(job)
        job.status = status

    def _tell_start(self, job: Job) -> None:
        job.is_told, job.began = True, time.monotonic()
        self._listen(job.item.started_event)

    def _tell_progress(self, job: Job) -> None:
        """Pass on what the job has told since the last look: whoever tells has begun, whatever Slurm said last."""
        events = self._progress[job.id].new_events()
        if events and not job.is_told:
            self._tell_start(job)
        for event in events:
            self._listen(replace(event, input=job.item.input, build_name=job.item.build_name))

    def _end(self, job: Job, result: Result) -> None:
        del self._jobs[job.id]
        self._tell_progress(job)
        self._listen(result.finished_event)
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


def _submitted(items: list[WorkItem], call: CallFolder, options: Options, listen: Listener) -> list[Job]:
    for item in items:
        call.keep_item(item)
    ids = submit(items, call=call, options=options)
    try:
        jobs = [Job(id=job, item=item, call=call, number=item.number) for job, item in ids.items()]
        keep_jobs(jobs, call=call)
        listen(items[0].note(f"{len(jobs)} jobs submitted: {jobs[0].id} to {jobs[-1].id}, logs in {call.slurm}"))
    except BaseException:  # nobody would know of them any more
        cancel(ids)
        raise
    return jobs


def _ended_from_outside(job: Job, status: JobStatus | None) -> Result:
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


def _failed(job: Job, status: str, error: TurnkeyError) -> Result:
    """A failure that only we can tell; the build says it too, where it can be written."""
    result = _result(job, status, error.what)
    with suppress(TurnkeyError):  # the result is what is left to say it
        state = close_build(job.item.paths, status=status, tool="", reason=error.what, error_log=str(error))
        result = replace(result, state=state)
    return replace(result, failure=Failure(error=error))


def _result(job: Job, status: str, reason: str) -> Result:
    return Result.of(job.item, status, reason=reason, seconds=time.monotonic() - job.began if job.began else 0.0)
