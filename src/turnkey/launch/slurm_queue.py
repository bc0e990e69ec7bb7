"""What Slurm says of jobs: ``squeue`` while it remembers them, ``sacct`` afterwards where accounting works.

Only ids that are given are asked for, many in one call: a cluster's controller has other users too.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass

_AT_ONCE = 200
"""Ids in one command line."""
_COMMAND_SECONDS = 60.0
_DEFAULT_ARRAY = 1001

WAITING = frozenset(
    {"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "REQUEUE_FED", "RESV_DEL_HOLD", "SPECIAL_EXIT"}
)
_FINAL = frozenset(
    {"TIMEOUT", "CANCELLED", "NODE_FAIL", "OUT_OF_MEMORY", "DEADLINE", "BOOT_FAIL", "PREEMPTED", "FAILED"}
)
WORKING = frozenset({"RUNNING", "COMPLETING", "SUSPENDED", "STOPPED", "SIGNALING", "STAGE_OUT", "RESIZING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job, as Slurm sees it.

    Attributes:
        state: ``PENDING``, ``RUNNING``, ``TIMEOUT`` and so on, without additions.
        reason: why it waits, or what ended it.
    """

    state: str
    reason: str = ""

    @property
    def is_final(self) -> bool:
        """Whether it was ended, or ended itself as failed: it will write nothing any more."""
        return self.state in _FINAL

    @property
    def is_active(self) -> bool:
        """Whether it may still do something."""
        return self.state in WAITING or self.state in WORKING


class QueueUnreachable(Exception):
    """The controller does not answer now; the text says what it said."""


def ask_queue(jobs: Iterable[str]) -> dict[str, JobStatus]:
    """Status by id of those jobs that the controller remembers, finished ones included.

    Raises:
        QueueUnreachable: it does not answer.
    """
    found: dict[str, JobStatus] = {}
    wanted = sorted(jobs)
    for start in range(0, len(wanted), _AT_ONCE):
        asked = wanted[start : start + _AT_ONCE]
        # One id that is forgotten makes the whole question an error if it stands alone, and is left out otherwise.
        code, output, errors = _run(
            ["squeue", "--noheader", "--array", "--states=all", "--format=%i|%T|%r", f"--jobs={','.join(asked)}"]
        )
        if code != 0 and "Invalid job id" not in errors:
            raise QueueUnreachable(errors.strip() or f"squeue ended with exit code {code}")
        for line in output.splitlines():
            job, state, reason = [*line.strip().split("|", 2), "", ""][:3]
            if job in asked:
                found[job] = JobStatus(state=state, reason="" if reason == "None" else reason)
    return found


def ask_accounting(job: str) -> JobStatus | None:
    """The final status of a job that the controller has forgotten; None where accounting does not know it either."""
    code, output, _ = _run(["sacct", "--noheader", "--parsable2", "--format=JobID,State,ExitCode", f"--jobs={job}"])
    if code != 0:
        return None
    for line in output.splitlines():
        name, state, exit_code = [*line.strip().split("|"), "", ""][:3]
        if name == job and state:
            return JobStatus(state=state.split()[0], reason=f"exit code {exit_code}" if exit_code else "")
    return None


def largest_array() -> int:
    """How many jobs one array may have here; Slurm's default where it does not say."""
    _, output, _ = _run(["scontrol", "show", "config"])
    found = re.search(r"^MaxArraySize\s*=\s*(\d+)", output, re.MULTILINE)
    return max(1, int(found[1])) if found else _DEFAULT_ARRAY


def cancel(jobs: Iterable[str], *, only_waiting: bool = False) -> None:
    """Cancel jobs; those that have ended already are no error.

    Args:
        only_waiting: leave alone what has begun; the controller decides at the moment of the cancellation.
    """
    wanted = sorted(jobs)
    for start in range(0, len(wanted), _AT_ONCE):
        which = ["--state=PENDING"] if only_waiting else []
        _run(["scancel", *which, *wanted[start : start + _AT_ONCE]])


def _run(command: list[str]) -> tuple[int, str, str]:
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=_COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return 1, "", str(error)
    return done.returncode, done.stdout, done.stderr
