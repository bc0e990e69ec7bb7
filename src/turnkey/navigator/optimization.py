"""One run of `optimize`: preprocessing, conversions, correctness, profiling, verification. Resumes after a kill.

Every command leaves its end in ``status.yaml`` before the next one starts, and every profiled batch size its record:
a run that was killed loses the command it was at. A model that fails in one format or runner never stops the others;
a preprocessing step that fails ends the run with its error.
"""

from __future__ import annotations

import hashlib
import time
import uuid
import warnings
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError, VerificationError
from turnkey.formats.failure_text import reason_of
from turnkey.measure.ladder import Stop
from turnkey.navigator import environment
from turnkey.navigator.build_state import write_build_state
from turnkey.navigator.call_settings import CallSettings, profile_faults
from turnkey.navigator.checking import check_runner
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.conversion_cache import ConversionCache
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.journal import Journal
from turnkey.navigator.making import make_model, start_jobs
from turnkey.navigator.max_batch import max_batch_for
from turnkey.navigator.model_config import plan_models
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.preprocessing import prepare
from turnkey.navigator.profiled import Profiled
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.progress import Progress
from turnkey.navigator.reproduce_script import write_scripts
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.source import fingerprint, name_of
from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    PREPROCESSING,
    CommandRun,
    CommandStatus,
    ModelStatus,
    Status,
)
from turnkey.navigator.status_file import FORMAT_VERSION, read_status
from turnkey.navigator.stored_sets import write_sets
from turnkey.navigator.user_verification import judge_runner
from turnkey.navigator.workspace import Workspace, claim
from turnkey.version import __version__

OK, FAIL, SKIPPED = CommandStatus.OK, CommandStatus.FAIL, CommandStatus.SKIPPED


def run_optimization(model: Any, dataloader: Any, asked: CallSettings) -> Package:
    """Do everything that a call asks for.

    Raises:
        ConfigurationError: the dataloader or the workspace do not fit the call.
        ModelError: the source model fails on the dataloader's samples.
    """
    said: list[str] = []
    started = time.perf_counter()
    sizes = [size for size in asked.profile.config.batch_sizes or () if size is not None]
    later = asked.profile.later
    if later is not None and later.max_batch_size is not None:
        sizes.append(later.max_batch_size)
    prepared = prepare(
        model,
        asked.source,
        dataloader,
        sample_count=asked.sample_count,
        batching=asked.batching,
        input_names=asked.input_names,
        output_names=asked.output_names,
        further_batches=[max(sizes)] if sizes else [],
        profiled_with=None if later is None else later.dataloader,
        say=said.append,
    )
    try:
        faults = profile_faults(asked.configs, [spec.name for spec in prepared.metadata.inputs])
        if faults:
            raise ConfigurationError("a TensorRT profile does not fit the model", evidence="\n".join(faults))
        outputs = [spec.name for spec in prepared.metadata.outputs]
        unknown = [name for name in asked.limits if name not in outputs]
        if unknown:
            message = f"tolerances are for {', '.join(unknown)}; the outputs of the model are {', '.join(outputs)}"
            warnings.warn(message, ConfigurationWarning, stacklevel=4)
        content = fingerprint(prepared.source, prepared.sets)
        mark = mark_of(content, asked)
        with _workspace(asked, mark) as workspace:
            seconds = time.perf_counter() - started
            run = Optimization(prepared, asked, workspace, seconds=seconds, mark=mark, content=content)
            for text in said:
                run.progress.warn(text)
            return Package(run.go(), workspace.path, model)
    finally:
        prepared.source.close()


def mark_of(content: str, asked: CallSettings) -> str:
    """What names a run: the digest of its source with samples, and all that is asked for but how much it prints."""
    config = {name: value for name, value in asked.to_config().items() if name not in ("verbose", "debug")}
    return hashlib.sha256(f"{content} {(config, asked.to_own())!r}".encode()).hexdigest()


@contextmanager
def _workspace(asked: CallSettings, mark: str) -> Iterator[Workspace]:
    """The workspace of a run, locked.

    Of two calls that claim an empty directory at once, the second waits for the lock, and then looks whose run it is.
    """
    while True:
        workspace = claim(
            asked.workspace,
            is_same_run=lambda found: _holds(found, mark),
            override=asked.override_workspace,
        )
        tell = Progress(workspace.log, verbose=asked.verbose).warn
        with workspace.held(on_wait=partial(tell, f"another process works in {workspace.path}: waiting for it")):
            if _holds(workspace, mark):
                yield workspace
                return


def _holds(workspace: Workspace, mark: str) -> bool:
    """Whether a workspace holds this very run, or one that was killed before it wrote what it is."""
    if not workspace.status.is_file():
        return True
    try:
        return read_status(workspace.status).own.get("fingerprint") == mark
    except TurnkeyError:
        return False


class Optimization:
    """One run in its workspace, whose lock the caller holds.

    Args:
        content: digest of the source with its samples: what names conversions in their cache.
        mark: digest of the whole call: what says that two runs are the same.
        seconds: that preprocessing took.
    """

    def __init__(
        self, prepared: Prepared, asked: CallSettings, workspace: Workspace, *, seconds: float, mark: str, content: str
    ) -> None:
        self._prepared = prepared
        self._asked = asked
        self._workspace = workspace
        self._content = content
        found = read_status(workspace.status) if workspace.status.is_file() else None
        status = found or self._fresh(seconds, mark)
        self._journal = Journal(workspace, status, verbose=asked.verbose, debug=asked.debug)
        self.progress = self._journal.progress

    def go(self, *, records: Path | None = None) -> Status:
        """All steps that are not done yet.

        Args:
            records: directory of the measurements; finished ones of this run that lie in it are not repeated. None is
                the workspace's own.
        """
        journal, prepared = self._journal, self._prepared
        sets = list(prepared.stored) or write_sets(prepared, self._workspace)
        models = plan_models(self._asked.source, self._asked.targets, self._asked.configs)
        for config in models:
            if config.key not in journal.status.models:
                journal.keep(journal.status.with_model(ModelStatus(model_config=config)))
        runners = [(config.key, kind) for config in models for kind in self._asked.kinds_of(config.format)]
        cache = ConversionCache()
        with ExitStack() as stack:
            jobs = start_jobs(prepared, sets, self.progress, stack)
            for config in models:
                make_model(
                    *(config, prepared, jobs, journal),
                    content=self._content,
                    cache=cache,
                    max_batch=max_batch_for(config, prepared, journal, device=self._asked.device),
                )
            for key, kind in runners:
                check_runner(
                    *(key, kind, jobs, journal), asked=self._asked, sets=sets, has_source=prepared.source.can_run
                )
        self._profile(runners, records or self._workspace.records)
        if self._asked.verify_func is not None:
            for key, kind in runners:
                judge_runner(self._asked.verify_func, key, kind, prepared, journal)
        journal.keep(replace(journal.status, timestamp=_now()))
        write_scripts(journal.status, self._workspace)
        write_build_state(journal.status, self._workspace, prepared)
        return journal.status

    def _fresh(self, seconds: float, mark: str) -> Status:
        each = seconds / len(PREPROCESSING)
        structure = self._prepared.source.structure
        metadata = self._prepared.metadata
        return Status(
            uuid=str(uuid.uuid4()),
            format_version=FORMAT_VERSION,
            model_navigator_version=__version__,
            environment=environment.describe(),
            config={**self._asked.to_config(), "batch_dim": metadata.batch_dim},
            input_metadata=metadata.inputs,
            output_metadata=metadata.outputs,
            dataloader_trt_profile=metadata.profile.to_dict(),
            dataloader_max_batch_size=metadata.largest_batch,
            commands={name: CommandRun(status=OK, seconds=each) for name in PREPROCESSING},
            own={
                "fingerprint": mark,
                "source_name": name_of(self._prepared.source.model),
                "structure": None if structure is None else structure.to_dict(),
                "settings": self._asked.to_own(),
                "dynamic_axes": {
                    name: {str(axis): symbol for axis, symbol in axes.items()}
                    for name, axes in metadata.axes.symbols.items()
                },
                "samples": len(self._prepared.samples),
                "notes": list(self._prepared.notes),
            },
            timestamp=_now(),
        )

    def _profile(self, runners: Sequence[tuple[str, RunnerKind]], records: Path) -> None:
        """Performance of every runner whose outputs are right; the others are skipped with the reason.

        Runners climb together: where a budget ended the climb of one, all go on, from the records that there are.
        """
        journal = self._journal
        is_cut = any(journal.runner(key, kind).stop_reason == str(Stop.BUDGET) for key, kind in runners)
        contestants: dict[str, tuple[str, RunnerKind]] = {}
        entries = []
        for key, kind in runners:
            runner = journal.runner(key, kind)
            known = runner.commands.get(PERFORMANCE)
            if known is not None and known.is_done and not is_cut:
                continue
            if not self._asked.profile.config.run_profiling:
                journal.end_runner(key, kind, PERFORMANCE, SKIPPED, reason="run_profiling is False")
            elif runner.ended(CORRECTNESS) is not OK:
                reason = f"its Correctness is {runner.ended(CORRECTNESS).value}"
                journal.end_runner(key, kind, PERFORMANCE, SKIPPED, reason=reason)
            else:
                entry = Contestant.of(journal.status.models[key], kind, self._workspace)
                contestants[entry.key] = (key, kind)
                entries.append(entry)
        if not entries:
            return
        started = time.perf_counter()
        try:
            found = profile_contestants(
                self._prepared,
                entries,
                self._asked.profile,
                records=records,
                relative_to=self._workspace.path,
                say=self.progress.step,
                listen=self.progress.detail,
            )
        except TurnkeyError as error:
            found = {each.key: Profiled(rungs=(), stop_reason="error", error=error) for each in entries}
        for name, result in found.items():
            self._end_profile(*contestants[name], result, started)

    def _end_profile(self, key: str, kind: RunnerKind, result: Profiled, started: float) -> None:
        reason = "" if result.error is None else reason_of(result.error)
        status = OK if result.rungs and not isinstance(result.error, VerificationError) else FAIL
        notes = self._journal.runner(key, kind).notes
        if status is OK and reason:
            notes = tuple(dict.fromkeys((*notes, f"incomplete: {reason}")))
        self._journal.end_runner(
            key,
            kind,
            PERFORMANCE,
            status,
            reason=reason if status is FAIL else "",
            started=started,
            rungs=result.rungs,
            complete=result.error is None,
            stop_reason=result.stop_reason,
            notes=notes,
        )


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
