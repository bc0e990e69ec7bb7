"""Handing work items to Slurm: through submitit, with the real ``sbatch``, as one job array per call, or a few.

Nothing of the cluster is assumed but what `docs/slurm.md` lists: the job uses the interpreter of the call, and sees
the cache under the same path. What else a site wants (partition, account, constraint, memory) is passed through.
"""

from __future__ import annotations

import importlib.util
import math
import shutil
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from turnkey.errors import InputError, MissingDependencyError, UsageError
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.options import Options
from turnkey.launch.slurm_job import probe, work_on
from turnkey.launch.slurm_queue import cancel, largest_array
from turnkey.launch.work_item import WorkItem

if TYPE_CHECKING:
    import submitit

T = TypeVar("T")

ARRAY_PARALLELISM = 50
"""Jobs of one call at a time, unless ``--slurm array_parallelism=N`` says otherwise."""

_GRACE_SECONDS = 20.0
"""Between the worker's own time limit and Slurm's: start of the interpreter, orderly end."""

_NAMES = {"cpus": "cpus_per_task", "gpus": "gpus_per_node", "name": "job_name"}
_OURS = ("time", "array", "output", "error", "signal", "requeue")


def submit(items: Sequence[WorkItem], *, call: CallFolder, options: Options) -> dict[str, WorkItem]:
    """Submit one job per item; returns them by job id. After an error none of them is left in the queue.

    Raises:
        UsageError: Slurm refuses them.
        InputError: the call's folder cannot be written.
    """
    at_once = parameters(options)["array_parallelism"]
    submitted: dict[str, WorkItem] = {}
    try:
        for part, share in arrays(items, largest=largest_array(), at_once=at_once):
            executor = _executor(call, options, at_once=share)
            jobs = _submitted(executor, [(work_on, str(call.directory), item.number) for item in part])
            submitted.update(zip(jobs, part, strict=True))
    except BaseException:
        cancel(submitted)
        raise
    return submitted


def arrays(items: Sequence[T], *, largest: int, at_once: int) -> list[tuple[Sequence[T], int]]:
    """The items of each array and how many of its jobs run at a time: equal shares, so that they end together.

    Args:
        largest: jobs that an array may have.
        at_once: of all arrays together; each runs one at least.
    """
    count = -(-len(items) // largest)
    return [(items[start::count], max(1, (at_once + start) // count)) for start in range(count)]


def submit_probe(*, call: CallFolder, options: Options) -> str:
    """Submit the job that shows whether nodes see the call's folder; returns its id. Raises like `submit`."""
    (job,) = _submitted(_executor(call, options, at_once=1), [(probe, str(call.directory))])
    return job


def parameters(options: Options) -> dict[str, Any]:
    """Parameters of submitit's executor for a call.

    Raises:
        UsageError: one that is Turnkey's own business, or is not KEY=VALUE.
    """
    given: dict[str, Any] = {}
    for text in options.slurm:
        key, separator, value = text.partition("=")
        if not separator:
            raise UsageError("--slurm takes KEY=VALUE", evidence=repr(text), remedy="--slurm partition=short mem=8G")
        name = key.strip().lstrip("-").replace("-", "_")
        if name in _OURS:
            raise UsageError(
                f"--slurm {name} is set by Turnkey",
                evidence=text,
                remedy="--timeout SECONDS is the limit of each job" if name == "time" else "leave it out",
            )
        given[_NAMES.get(name, name)] = int(value) if value.isdecimal() else value
    at_once = given.setdefault("array_parallelism", ARRAY_PARALLELISM)
    if not isinstance(at_once, int) or at_once < 1:
        raise UsageError("--slurm array_parallelism is a number of jobs", evidence=f"array_parallelism={at_once}")
    return {"job_name": "turnkey", **given, "time": minutes(options.timeout)}


def minutes(seconds: float | None) -> int:
    """Slurm's limit for a worker's limit: whole minutes, rounded up; the worker's own is exact."""
    return max(1, math.ceil(((seconds or 0.0) + _GRACE_SECONDS) / 60))


def check_slurm(options: Options) -> None:
    """Refuse, before anything is written, a call that cannot submit jobs from here.

    Raises:
        MissingDependencyError: there is no Slurm here, or submitit is not installed.
        UsageError: a parameter of ``--slurm`` is none.
    """
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise MissingDependencyError(
            "there is no Slurm on this machine",
            evidence="sbatch and srun are not on the PATH",
            remedy="run it on a login node of the cluster; on this machine: --process-isolation --jobs N",
        )
    if importlib.util.find_spec("submitit") is None:
        raise MissingDependencyError(
            "submitit is not installed, which hands jobs to Slurm",
            evidence=f"{sys.executable} has no module submitit",
            remedy="pip install 'turnkey[slurm]'",
        )
    parameters(options)


def _executor(call: CallFolder, options: Options, *, at_once: int) -> submitit.SlurmExecutor:
    import submitit

    executor = submitit.SlurmExecutor(folder=str(call.slurm))
    asked = {**parameters(options), "array_parallelism": at_once}
    own = {name: asked.pop(name) for name in ("job_name", "time", "array_parallelism")}
    executor.update_parameters(
        **own,
        wckey=None,
        stderr_to_stdout=True,
        # submitit would have a signal of its own sent to every process before the limit, which ends them; the worker
        # keeps its time itself. A job that was pre-empted, or whose node failed, is to come back.
        additional_parameters={
            **{name.replace("_", "-"): value for name, value in asked.items()},
            "signal": "CONT@1",
            "requeue": True,
        },
    )
    return executor


def _submitted(executor: submitit.SlurmExecutor, calls: Iterable[tuple[Any, ...]]) -> list[str]:
    from submitit.core.utils import FailedJobError, FailedSubmissionError

    try:
        with executor.batch():
            jobs = [executor.submit(*call) for call in calls]
    except (FailedJobError, FailedSubmissionError) as error:
        raise UsageError(
            "Slurm refused the jobs",
            evidence="\n".join(str(error).strip().splitlines()[-3:]),
            remedy="see what the cluster offers: sinfo; then --slurm partition=NAME account=NAME …",
        ) from error
    except OSError as error:
        raise InputError("the jobs cannot be submitted", evidence=str(error)) from error
    return [str(job.job_id) for job in jobs]
