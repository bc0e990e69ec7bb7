"""One run of `optimize`: preprocessing, conversions, correctness, profiling, verification. Resumes after a kill.

Every command leaves its end in ``status.yaml`` before the next one starts, and every profiled batch size its record:
a run that was killed loses the command it was at. A model that fails in one format or runner never stops the others;
a preprocessing step that fails ends the run with its error.
"""

from __future__ import annotations

import hashlib
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError, VerificationError
from turnkey.host import fair_threads
from turnkey.navigator import conversion, environment
from turnkey.navigator.build_state import write_build_state
from turnkey.navigator.call_settings import CallSettings, profile_faults
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.conversion_cache import ConversionCache
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import DeviceKind
from turnkey.navigator.journal import Journal
from turnkey.navigator.making import make_model, reason_of, start_jobs
from turnkey.navigator.max_batch import max_batch_of
from turnkey.navigator.model_config import ModelConfig, plan_models
from turnkey.navigator.preparation import Prepared, prepare, write_sets
from turnkey.navigator.profiled import Profiled
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.reproduce_script import write_scripts
from turnkey.navigator.runner_table import RunnerKind, obstacle
from turnkey.navigator.source import fingerprint, name_of
from turnkey.navigator.status import (
    CORRECTNESS,
    FIND_MAX_BATCH_SIZE,
    PERFORMANCE,
    PREPROCESSING,
    VERIFY,
    CommandRun,
    CommandStatus,
    ModelStatus,
    OutputTolerance,
    Status,
)
from turnkey.navigator.status_file import FORMAT_VERSION, read_status
from turnkey.navigator.user_verification import verify_runner
from turnkey.navigator.workspace import Workspace, claim
from turnkey.version import __version__

OK, FAIL, SKIPPED = CommandStatus.OK, CommandStatus.FAIL, CommandStatus.SKIPPED


def run_optimization(model: Any, dataloader: Any, asked: CallSettings) -> tuple[Status, Workspace, Prepared]:
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
        content = fingerprint(prepared.source, prepared.sets)
        mark = mark_of(content, asked)
        workspace = claim(
            asked.workspace,
            is_same_run=lambda found: _holds(found, mark),
            override=asked.override_workspace,
        )
        with workspace.held():
            seconds = time.perf_counter() - started
            run = Optimization(prepared, asked, workspace, seconds=seconds, mark=mark, content=content)
            for text in said:
                run.progress.warn(text)
            return run.go(), workspace, prepared
    finally:
        prepared.source.close()


def mark_of(content: str, asked: CallSettings) -> str:
    """What names a run: the digest of its source with samples, and all that is asked for but how much it prints."""
    config = {name: value for name, value in asked.to_config().items() if name not in ("verbose", "debug")}
    return hashlib.sha256(f"{content} {(config, asked.to_own())!r}".encode()).hexdigest()


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
        self._sets: list[Path] = []
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
        journal = self._journal
        self._sets = list(self._prepared.stored) or write_sets(self._prepared, self._workspace)
        models = plan_models(self._asked.source, self._asked.targets, self._asked.configs)
        for config in models:
            if config.key not in journal.status.models:
                journal.keep(journal.status.with_model(ModelStatus(model_config=config)))
        cache = ConversionCache()
        with ExitStack() as stack:
            self._jobs = start_jobs(self._prepared, self._sets, self.progress, stack)
            for config in models:
                make_model(
                    *(config, self._prepared, self._jobs, journal),
                    content=self._content,
                    cache=cache,
                    max_batch=self._max_batch(config),
                )
            for config in models:
                for kind in self._kinds_of(config):
                    self._check(config, kind)
        self._profile(models, records or self._workspace.records)
        if self._asked.verify_func is not None:
            for config in models:
                for kind in self._kinds_of(config):
                    self._verify(config, kind)
        journal.keep(replace(journal.status, timestamp=_now()))
        write_scripts(journal.status, self._workspace)
        write_build_state(journal.status, self._workspace, self._prepared)
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

    def _max_batch(self, config: ModelConfig) -> int | None:
        """The largest batch of engines, looked for once and before the first of them; None for all other models."""
        is_engine = conversion.needs_max_batch(config) and not conversion.obstacle_of(config)
        if not is_engine or self._asked.device is not DeviceKind.CUDA or self._prepared.metadata.batch_dim is None:
            return None
        if not self._prepared.source.can_run:
            return None
        known = self._journal.status.own.get("max_batch")
        if known is None:
            started = time.perf_counter()
            known = max_batch_of(self._prepared)
            run = CommandRun(status=OK, seconds=round(time.perf_counter() - started, 3))
            status = self._journal.status
            self._journal.keep(
                replace(
                    status,
                    commands={**status.commands, FIND_MAX_BATCH_SIZE: run},
                    own={**status.own, "max_batch": known},
                )
            )
            self.progress.step(f"{FIND_MAX_BATCH_SIZE}: engines are built for batches up to {known}")
        return int(known)

    def _kinds_of(self, config: ModelConfig) -> list[RunnerKind]:
        return [kind for kind in self._asked.kinds if kind.format is config.format]

    def _check(self, config: ModelConfig, kind: RunnerKind) -> None:
        """Correctness of one runner at the batch sizes of all sets."""
        known = self._journal.runner(config.key, kind).commands.get(CORRECTNESS)
        if known is not None and known.is_done:
            return
        model = self._journal.status.models[config.key]
        reason = obstacle(kind)
        if not model.is_there:
            reason = f"{config.key} was not made"
        if config.format.is_source and not self._prepared.source.can_run:
            reason = "the source model is not attached"
        if reason:
            self._journal.end_runner(config.key, kind, CORRECTNESS, SKIPPED, reason=reason)
            return
        log = self._workspace.command_log(config.key, CORRECTNESS, kind.name)
        job = conversion.check_job(
            model,
            kind,
            self._sets,
            self._workspace,
            limits=self._asked.limits,
            threads=self._asked.profile.threads or fair_threads(),
            log=log,
        )
        started = time.perf_counter()
        try:
            answer = self._jobs.perform(job)
        except TurnkeyError as error:
            self._journal.end_runner(
                config.key, kind, CORRECTNESS, FAIL, reason=reason_of(error), started=started, log=log
            )
            return
        self._journal.end_runner(
            config.key,
            kind,
            CORRECTNESS,
            OK if answer["ok"] else FAIL,
            reason=answer["reason"],
            started=started,
            log=log,
            tolerances=tuple(OutputTolerance(**each) for each in answer["tolerances"]),
            notes=(f"compared at batch sizes {', '.join(map(str, answer['batch_sizes']))}",),
        )

    def _profile(self, models: Sequence[ModelConfig], records: Path) -> None:
        """Performance of every runner whose outputs are right; the others are skipped with the reason."""
        contestants: dict[str, tuple[str, RunnerKind]] = {}
        for config in models:
            for kind in self._kinds_of(config):
                runner = self._journal.runner(config.key, kind)
                known = runner.commands.get(PERFORMANCE)
                if known is not None and known.is_done:
                    continue
                if not self._asked.profile.config.run_profiling:
                    self._journal.end_runner(config.key, kind, PERFORMANCE, SKIPPED, reason="run_profiling is False")
                elif runner.ended(CORRECTNESS) is not OK:
                    ended = runner.ended(CORRECTNESS).value
                    self._journal.end_runner(
                        config.key, kind, PERFORMANCE, SKIPPED, reason=f"its Correctness is {ended}"
                    )
                else:
                    contestants[f"{config.key} @ {kind.name}"] = (config.key, kind)
        if not contestants:
            return
        entries = [
            Contestant(
                model_key=key,
                kind=kind,
                path=conversion.file_of(self._journal.status.models[key], self._workspace),
                sha256=self._journal.status.models[key].sha256,
            )
            for key, kind in contestants.values()
        ]
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
            key, kind = contestants[name]
            self._end_profile(key, kind, result, started)

    def _end_profile(self, key: str, kind: RunnerKind, result: Profiled, started: float) -> None:
        reason = "" if result.error is None else reason_of(result.error)
        status = OK if result.rungs and not isinstance(result.error, VerificationError) else FAIL
        notes = self._journal.runner(key, kind).notes
        if status is OK and reason:
            notes = (*notes, f"incomplete: {reason}")
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

    def _verify(self, config: ModelConfig, kind: RunnerKind) -> None:
        """The caller's own judgement, over the whole dataloader."""
        runner = self._journal.runner(config.key, kind)
        known = runner.commands.get(VERIFY)
        if known is not None and known.is_done:
            return
        if runner.ended(CORRECTNESS) is not OK or runner.ended(PERFORMANCE) is not OK:
            self._journal.end_runner(
                config.key, kind, VERIFY, SKIPPED, reason="Correctness and Performance must be OK"
            )
            return
        assert self._asked.verify_func is not None, "the caller asked"
        started = time.perf_counter()
        path = conversion.file_of(self._journal.status.models[config.key], self._workspace)
        reason = verify_runner(self._asked.verify_func, kind, path, self._prepared)
        self._journal.end_runner(config.key, kind, VERIFY, FAIL if reason else OK, reason=reason, started=started)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
