"""Models made one after another: exported, converted, copied or taken from the cache of conversions."""

from __future__ import annotations

import time
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path

from turnkey import settings as environment_settings
from turnkey.errors import TurnkeyError
from turnkey.formats.failure_text import reason_of
from turnkey.navigator import conversion
from turnkey.navigator.conversion_cache import ConversionCache
from turnkey.navigator.format import Format
from turnkey.navigator.job_runner import HereJobs, JobRunner, WorkerJobs
from turnkey.navigator.journal import Journal
from turnkey.navigator.max_batch import smaller_batches
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.model_files import is_intact
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.progress import Progress
from turnkey.navigator.source import SourceFacts
from turnkey.navigator.status import CommandStatus
from turnkey.navigator.workbench import Workbench
from turnkey.runtimes.handover import HandoverImpossible, handed_over


def start_jobs(prepared: Prepared, sets: list[Path], progress: Progress, stack: ExitStack) -> JobRunner:
    """A worker process with the source, or this one where the source cannot leave it or the user wants no other.

    Args:
        sets: directories of the sample sets, those of the source first.
        stack: ends what was started.
    """
    source = prepared.source.with_facts(prepared.sets)
    module = None
    if source.module is not None:
        if not environment_settings.multiprocessing_enabled():
            return HereJobs(Workbench(source=source))
        try:
            module = stack.enter_context(handed_over(source, prepared.sets[0], with_module=True)).module
        except HandoverImpossible as reason:
            progress.warn(f"conversions run in this process: the model cannot leave it ({reason})")
            return HereJobs(Workbench(source=source))
    jobs = WorkerJobs(
        {
            "module": None if module is None else dict(module),
            "sets": [str(path) for path in sets[: len(prepared.sets)]],
            "class_name": source.class_name,
            "facts": asdict(SourceFacts.of(source)),
        },
        timeout_s=environment_settings.timeout_seconds(),
    )
    stack.callback(jobs.close)
    return jobs


def make_model(
    config: ModelConfig,
    prepared: Prepared,
    jobs: JobRunner,
    journal: Journal,
    *,
    content: str,
    cache: ConversionCache,
    max_batch: int | None = None,
) -> None:
    """Make one model, unless an earlier run did and its files are as it left them. Its end stands in the journal.

    Args:
        content: digest of the source with its samples.
        max_batch: of engines that no profile of the caller is for; where they cannot be built so large, smaller ones
            are tried.
    """
    model = journal.status.models[config.key]
    if config.parent_key is None and config.format is not Format.ONNX:
        return
    command = conversion.command_of(config, journal.status)
    done = model.commands.get(command)
    if done is not None and done.is_done and is_intact(model, journal.workspace):
        return
    parent = journal.status.models.get(config.parent_key or "")
    if parent is not None and not parent.is_there:
        journal.end_model(config, command, CommandStatus.SKIPPED, f"{parent.model_config.key} was not made")
        return
    reason = conversion.obstacle_of(config)
    if reason:
        journal.end_model(config, command, CommandStatus.SKIPPED, reason)
        return
    log = journal.workspace.command_log(config.key, command)
    started = time.perf_counter()
    batches: list[int | None] = [None]
    if max_batch is not None and conversion.needs_max_batch(config):
        batches = list(smaller_batches(max_batch, least=prepared.metadata.largest_batch or 1))
    for batch in batches:
        try:
            made = conversion.convert(
                *(config, parent, prepared, jobs, journal.workspace),
                log=log,
                content=content,
                cache=cache,
                max_batch=batch,
            )
        except TurnkeyError as error:
            if batch != batches[-1]:
                journal.progress.warn(f"{config.key}: not for batch {batch}: {reason_of(error)}")
                continue
            seconds = time.perf_counter() - started
            journal.end_model(config, command, CommandStatus.FAIL, reason_of(error), seconds=seconds, log=log)
        else:
            journal.made(made, command, seconds=time.perf_counter() - started, log=log)
            return
