"""Which job of which call works on which input: ``<call>/slurm/jobs.json``, written as soon as Slurm has told the ids.

A later call with ``--resume`` finds jobs of equal items that are still in the queue there, and waits for those instead
of submitting twice.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from turnkey.launch.call_folder import CallFolder
from turnkey.launch.options import Options
from turnkey.launch.slurm_queue import JobStatus, QueueUnreachable, ask_queue
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline import durable


@dataclass(slots=True, kw_only=True)
class Job:
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
        return self.call.job_log(self.id)


def keep_jobs(jobs: Iterable[Job], *, call: CallFolder) -> None:
    """Write the jobs of a call down. Raises InputError if that cannot be written."""
    kept = {job.id: {"number": job.number, "identity": _identity(job.item)} for job in jobs}
    durable.write_text(call.slurm / "jobs.json", json.dumps({"version": 1, "jobs": kept}, indent=1) + "\n")


def jobs_in_queue(items: list[WorkItem], options: Options) -> list[Job]:
    """Jobs of earlier calls on this cache that do what items of this call ask for; only for a call that resumes."""
    if not options.resume or not items:
        return []
    wanted = {_identity(item): item for item in items}
    found: dict[str, Job] = {}
    for path in sorted((options.cache_dir / ".calls").glob("*/slurm/jobs.json"), reverse=True):
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):  # not ours, or cut off: submit anew
            for job, kept in json.loads(path.read_text())["jobs"].items():
                item = wanted.pop(kept["identity"], None)  # the latest job of an item counts
                if item is not None:
                    folder = CallFolder(directory=path.parent.parent)
                    found[str(job)] = Job(id=str(job), item=item, call=folder, number=int(kept["number"]))
    try:
        known = ask_queue(found) if found else {}
    except QueueUnreachable:
        known = {}
    return [job for job in found.values() if job.id in known and known[job.id].is_active]


def _identity(item: WorkItem) -> str:
    """The same for items that would do the same work on the same build."""
    content = [str(item.absolute_path), item.target, item.build_name, [list(step) for step in item.steps], item.seed]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
