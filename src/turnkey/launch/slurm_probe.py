"""One job alone, before the others: does a node of the cluster see the cache?"""

from __future__ import annotations

import time

from turnkey.errors import InputError
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.last_words import last_words
from turnkey.launch.options import Options
from turnkey.launch.slurm_job import PROBE, VISIBLE_SECONDS
from turnkey.launch.slurm_queue import WAITING, JobStatus, QueueUnreachable, ask_accounting, ask_queue, cancel
from turnkey.launch.slurm_submission import submit_probe
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Listener

_LOOK_SECONDS = 1.0


def check_nodes(item: WorkItem, *, call: CallFolder, options: Options, listen: Listener) -> None:
    """Send a job that only looks for the call's folder, and wait for its answer.

    Args:
        item: the one that the user is told of meanwhile.

    Raises:
        InputError: no node can work with it.
    """
    job = submit_probe(call=call, options=options)
    listen(item.note(f"job {job} asks a node whether it sees {options.cache_dir}"))
    path, log = call.slurm / PROBE, call.job_log(job)
    gone_since: float | None = None
    told = {""}
    try:
        while not path.exists():
            time.sleep(_LOOK_SECONDS)
            status = _status(job)
            if status is not None and status.is_active:
                gone_since = None
                if status.state in WAITING and status.reason not in told:
                    told.add(status.reason)
                    listen(item.note(f"job {job} waits in the queue: {status.reason}"))
                continue
            gone_since = gone_since or time.monotonic()
            if time.monotonic() - gone_since > VISIBLE_SECONDS or (status and status.is_final):
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
