"""Correctness: the outputs of one runner beside the source's, at the batch sizes of all sample sets."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.formats.failure_text import reason_of
from turnkey.host import fair_threads
from turnkey.navigator.call_settings import CallSettings
from turnkey.navigator.job_runner import JobRunner
from turnkey.navigator.journal import Journal
from turnkey.navigator.model_files import file_of
from turnkey.navigator.runner_table import RunnerKind, obstacle
from turnkey.navigator.status import CORRECTNESS, CommandStatus, ModelStatus, OutputTolerance
from turnkey.navigator.tolerances import Limits, plain_limits
from turnkey.navigator.workspace import Workspace
from turnkey.verify import precision_of


def check_runner(
    key: str,
    kind: RunnerKind,
    jobs: JobRunner,
    journal: Journal,
    *,
    asked: CallSettings,
    sets: Sequence[Path],
    has_source: bool,
) -> None:
    """Check one runner of a model, unless an earlier run did. Its end stands in the journal.

    Args:
        sets: directories of the sample sets with the source's outputs.
        has_source: whether the source model is at hand.
    """
    known = journal.runner(key, kind).commands.get(CORRECTNESS)
    if known is not None and known.is_done:
        return
    model = journal.status.models[key]
    reason = obstacle(kind)
    if not model.is_there:
        reason = f"{key} was not made"
    if model.model_config.format.is_source and not has_source:
        reason = "the source model is not attached"
    if reason:
        journal.end_runner(key, kind, CORRECTNESS, CommandStatus.SKIPPED, reason=reason)
        return
    log = journal.workspace.command_log(key, CORRECTNESS, kind.name)
    threads = asked.profile.threads or fair_threads()
    job = check_job(model, kind, sets, journal.workspace, limits=asked.limits, threads=threads, log=log)
    started = time.perf_counter()
    try:
        answer = jobs.perform(job)
    except TurnkeyError as error:
        reason = reason_of(error)
        journal.end_runner(key, kind, CORRECTNESS, CommandStatus.FAIL, reason=reason, started=started, log=log)
        return
    journal.end_runner(
        key,
        kind,
        CORRECTNESS,
        CommandStatus.OK if answer["ok"] else CommandStatus.FAIL,
        reason=answer["reason"],
        started=started,
        log=log,
        tolerances=tuple(OutputTolerance(**each) for each in answer["tolerances"]),
        notes=(f"compared at batch sizes {', '.join(map(str, answer['batch_sizes']))}",),
    )


def check_job(
    model: ModelStatus,
    kind: RunnerKind,
    sets: Sequence[Path],
    workspace: Workspace,
    *,
    limits: Limits,
    threads: int,
    log: Path,
) -> dict[str, Any]:
    """The job that compares one runner's outputs with the references of all sets."""
    path = file_of(model, workspace)
    log.parent.mkdir(parents=True, exist_ok=True)
    return {
        "kind": "check",
        "title": f"Correctness of {model.model_config.key} @ {kind.name}",
        "log": str(log),
        "runtime": kind.runtime,
        "place": kind.place,
        "path": None if path is None else str(path),
        "device": kind.device.value,
        "options": dict(kind.options),
        "threads": threads,
        "sets": [str(each) for each in sets],
        "precision": precision_of(model.model_config.key),
        "limits": plain_limits(limits),
    }
