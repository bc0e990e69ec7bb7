"""What runs inside a Slurm job: one work item, exactly as an isolated input runs on this machine.

submitit carries only the name of a function and two words into the job. The work item and the result are files of the
call's folder, so that nothing is unpickled that another machine wrote.
"""

from __future__ import annotations

import json
import os
import platform
import signal
import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType

from turnkey.launch.call_folder import CallFolder
from turnkey.launch.isolation import run_isolated
from turnkey.launch.result import Result
from turnkey.launch.slurm_progress import telling
from turnkey.launch.work_item import WorkItem, read_work_item
from turnkey.pipeline import durable
from turnkey.version import __version__

PROBE = "probe.json"

VISIBLE_SECONDS = 20.0
"""How long a shared file system may take to show the call what a job has written."""

_OF_THE_NODE = ("CUDA_VISIBLE_DEVICES", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "TMPDIR")
"""Variables that Slurm or the node sets; those of the machine that submitted do not hold there."""


def work_on(call_directory: str, number: int) -> None:
    """Work on an item of a call and write its result, unless the job is ended from outside.

    A job that Slurm started once before (pre-empted, its node failed) goes on after the last finished tool. One that
    is told to end writes no result: it comes back by itself, or the call that waits for it asks Slurm what happened.
    """
    call = CallFolder(directory=Path(call_directory))
    item = read_work_item(call.item(number))
    own = {name: value for name, value in item.environment.items() if name not in _OF_THE_NODE}
    item = replace(item, environment=own, slurm_log=_own_log(call))
    if int(os.environ.get("SLURM_RESTART_COUNT") or 0):
        item = replace(item, resume=True)
    told = _Told()
    # submitit ignores this signal; Slurm sends it to all processes of a job that it is about to kill.
    signal.signal(signal.SIGTERM, told.take)

    def finish(item: WorkItem, result: Result) -> bool:
        if not told.to_end:
            call.keep_result(item.number, result)
        return False

    listen = telling(call.progress(number))
    try:
        run_isolated([item], call=call, jobs=1, template=None, listen=listen, finish=finish)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGTERM)


def probe(call_directory: str) -> None:
    """Show that a node sees the folder of the call and has this Turnkey: a file in it says so."""
    content = {"node": platform.node(), "python": sys.executable, "turnkey_version": __version__}
    durable.write_text(CallFolder(directory=Path(call_directory)).slurm / PROBE, json.dumps(content) + "\n")


def _own_log(call: CallFolder) -> str | None:
    """The log of this job, as its build names it: relative to the cache."""
    job = os.environ.get("SLURM_JOB_ID")
    if "SLURM_ARRAY_TASK_ID" in os.environ:
        job = f"{os.environ['SLURM_ARRAY_JOB_ID']}_{os.environ['SLURM_ARRAY_TASK_ID']}"
    return call.job_log(job).relative_to(call.directory.parent.parent).as_posix() if job else None


class _Told:
    """Whether Slurm told the job to end."""

    def __init__(self) -> None:
        self.to_end = False

    def take(self, number: int, frame: FrameType | None) -> None:
        self.to_end = True
        raise KeyboardInterrupt
