"""One run of `optimize`: preprocessing, conversions, correctness, profiling, verification. Resumes after a kill.

Every command leaves its end in ``status.yaml`` before the next one starts, and every profiled batch size its record:
a run that was killed loses the command it was at. A model that fails in one format or runner never stops the others;
a preprocessing step that fails ends the run with its error.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey import settings as environment_settings
from turnkey.errors import TurnkeyError, VerificationError
from turnkey.host import fair_threads
from turnkey.navigator import conversion, environment
from turnkey.navigator.build_state import write_build_state
from turnkey.navigator.call_settings import CallSettings
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.format import Format
from turnkey.navigator.job_runner import HereJobs, JobRunner, WorkerJobs
from turnkey.navigator.model_config import ModelConfig, plan_models
from turnkey.navigator.preparation import Prepared, prepare, write_sets
from turnkey.navigator.profiled import Profiled
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.reproduce_script import write_scripts
from turnkey.navigator.runner_table import RunnerKind, obstacle
from turnkey.navigator.source import fingerprint, name_of
from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    PREPROCESSING,
    VERIFY,
    CommandRun,
    CommandStatus,
    ModelStatus,
    OutputTolerance,
    RunnerStatus,
    Status,
)
from turnkey.navigator.status_file import FORMAT_VERSION, read_status, write_status
from turnkey.navigator.user_verification import verify_runner
from turnkey.navigator.workbench import Workbench
from turnkey.navigator.workspace import Workspace, claim
from turnkey.runtimes.handover import HandoverImpossible, handed_over
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
        facts = prepared.source.with_facts(prepared.sets)
        mark = fingerprint(
            {"model_hash": facts.model_hash, "weights_hash": facts.weights_hash},
            prepared.sets,
            repr((_without_chatter(asked.to_config()), asked.to_own())),
        )
        workspace = claim(
            asked.workspace,
            is_same_run=lambda found: _holds(found, mark),
            override=asked.override_workspace,
        )
        with workspace.held():
            run = Optimization(prepared, asked, workspace, seconds=time.perf_counter() - started, mark=mark)
            for text in said:
                run.say(text)
            return run.go(), workspace, prepared
    finally:
        prepared.source.close()


def _holds(workspace: Workspace, mark: str) -> bool:
    """Whether a workspace holds this very run, or one that was killed before it wrote what it is."""
    if not workspace.status.is_file():
        return True
    try:
        return read_status(workspace.status).own.get("fingerprint") == mark
    except TurnkeyError:
        return False


class Optimization:
    """One run in its workspace, whose lock the caller holds."""

    def __init__(
        self, prepared: Prepared, asked: CallSettings, workspace: Workspace, *, seconds: float, mark: str
    ) -> None:
        self._prepared = prepared
        self._asked = asked
        self._workspace = workspace
        self._kinds = asked.kinds
        self._sets: list[Path] = []
        found = read_status(workspace.status) if workspace.status.is_file() else None
        self._status = found or self._fresh(seconds, mark)

    def say(self, text: str) -> None:
        """One line for the log, and for the terminal of a verbose call."""
        self._workspace.say(text)
        if self._asked.verbose or self._asked.debug:
            print(text, flush=True)

    def go(self) -> Status:
        """All steps that are not done yet."""
        self._sets = list(self._prepared.stored) or write_sets(self._prepared, self._workspace)
        models = plan_models(self._asked.source, self._asked.targets, self._asked.configs)
        for config in models:
            if config.key not in self._status.models:
                self._keep(self._status.with_model(ModelStatus(model_config=config)))
        with ExitStack() as stack:
            self._jobs = self._start_jobs(stack)
            for config in models:
                self._make(config)
            for config in models:
                for kind in self._kinds_of(config):
                    self._check(config, kind)
        self._profile(models)
        if self._asked.verify_func is not None:
            for config in models:
                for kind in self._kinds_of(config):
                    self._verify(config, kind)
        self._keep(replace(self._status, timestamp=_now()))
        write_scripts(self._status, self._workspace)
        write_build_state(self._status, self._workspace, self._prepared)
        return self._status

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

    def _start_jobs(self, stack: ExitStack) -> JobRunner:
        """A worker process with the source, or this one where the source cannot leave it."""
        source = self._prepared.source.with_facts(self._prepared.sets)
        live = source.module
        module = None
        if live is not None:
            try:
                module = stack.enter_context(handed_over(source, self._prepared.sets[0], with_module=True)).module
            except HandoverImpossible as reason:
                self.say(f"conversions run in this process: the model cannot leave it ({reason})")
                bench = Workbench(source=source, module=live, structure=self._prepared.source.structure)
                return HereJobs(bench)
        jobs = WorkerJobs(
            {
                "module": None if module is None else dict(module),
                "sets": [str(path) for path in self._sets[: len(self._prepared.sets)]],
                "class_name": source.class_name,
                "facts": {
                    "model_hash": source.model_hash,
                    "hash_basis": source.hash_basis,
                    "weights_hash": source.weights_hash,
                    "parameter_count": source.parameter_count,
                    "parameter_bytes": source.parameter_bytes,
                    "data_dependent": source.data_dependent,
                },
            },
            timeout_s=environment_settings.timeout_seconds(),
        )
        stack.callback(jobs.close)
        return jobs

    def _make(self, config: ModelConfig) -> None:
        """Export or convert one model, unless an earlier run did and its files are as it left them."""
        model = self._status.models[config.key]
        if config.parent_key is None and config.format is not Format.ONNX:
            return
        command = conversion.command_of(config, self._status)
        done = model.commands.get(command)
        if done is not None and done.is_done and conversion.is_intact(model, self._workspace):
            return
        parent = self._status.models.get(config.parent_key or "")
        if parent is not None and not parent.is_there:
            self._end_model(config, command, SKIPPED, f"{parent.model_config.key} was not made")
            return
        reason = conversion.obstacle_of(config)
        if reason:
            self._end_model(config, command, SKIPPED, reason)
            return
        log = self._workspace.command_log(config.key, command)
        started = time.perf_counter()
        try:
            made = conversion.convert(config, parent, self._prepared, self._jobs, self._workspace, log=log)
        except TurnkeyError as error:
            self._end_model(config, command, FAIL, _reason_of(error), seconds=time.perf_counter() - started, log=log)
            return
        run = CommandRun(
            status=OK, seconds=round(time.perf_counter() - started, 3), log_path=self._workspace.relative(log)
        )
        self.say(f"{config.key}: made by {made.exporter}, {made.size_bytes} bytes, {run.seconds:.1f} s")
        self._keep(self._status.with_model(replace(made, commands={command: run})))

    def _end_model(
        self,
        config: ModelConfig,
        command: str,
        status: CommandStatus,
        reason: str,
        *,
        seconds: float = 0.0,
        log: Path | None = None,
    ) -> None:
        self.say(f"{config.key}: {command} {status.value}: {reason}")
        path = "" if log is None else self._workspace.relative(log)
        run = CommandRun(status=status, reason=reason, seconds=round(seconds, 3), log_path=path)
        self._keep(self._status.with_model(self._status.models[config.key].with_command(command, run)))

    def _kinds_of(self, config: ModelConfig) -> list[RunnerKind]:
        return [kind for kind in self._kinds if kind.format is config.format]

    def _runner(self, key: str, kind: RunnerKind) -> RunnerStatus:
        known = self._status.models[key].runners_status.get(kind.name)
        return known or RunnerStatus(runner_name=kind.name)

    def _end(
        self,
        key: str,
        kind: RunnerKind,
        command: str,
        status: CommandStatus,
        *,
        reason: str = "",
        started: float | None = None,
        log: Path | None = None,
        **found: Any,
    ) -> None:
        seconds = 0.0 if started is None else round(time.perf_counter() - started, 3)
        path = "" if log is None else self._workspace.relative(log)
        run = CommandRun(status=status, reason=reason, seconds=seconds, log_path=path)
        runner = replace(self._runner(key, kind), **found).with_command(command, run)
        self.say(f"{key} @ {kind.name}: {command} {status.value}" + (f": {reason}" if reason else ""))
        self._keep(self._status.with_runner(key, runner))

    def _check(self, config: ModelConfig, kind: RunnerKind) -> None:
        """Correctness of one runner at the batch sizes of all sets."""
        known = self._runner(config.key, kind).commands.get(CORRECTNESS)
        if known is not None and known.is_done:
            return
        model = self._status.models[config.key]
        reason = obstacle(kind)
        if not model.is_there:
            reason = f"{config.key} was not made"
        if reason:
            self._end(config.key, kind, CORRECTNESS, SKIPPED, reason=reason)
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
            self._end(config.key, kind, CORRECTNESS, FAIL, reason=_reason_of(error), started=started, log=log)
            return
        self._end(
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

    def _profile(self, models: Sequence[ModelConfig]) -> None:
        """Performance of every runner whose outputs are right; the others are skipped with the reason."""
        contestants: dict[str, tuple[str, RunnerKind]] = {}
        for config in models:
            for kind in self._kinds_of(config):
                runner = self._runner(config.key, kind)
                known = runner.commands.get(PERFORMANCE)
                if known is not None and known.is_done:
                    continue
                if not self._asked.profile.config.run_profiling:
                    self._end(config.key, kind, PERFORMANCE, SKIPPED, reason="run_profiling is False")
                elif runner.ended(CORRECTNESS) is not OK:
                    ended = runner.ended(CORRECTNESS).value
                    self._end(config.key, kind, PERFORMANCE, SKIPPED, reason=f"its Correctness is {ended}")
                else:
                    contestants[f"{config.key} @ {kind.name}"] = (config.key, kind)
        if not contestants:
            return
        entries = [
            Contestant(
                model_key=key,
                kind=kind,
                path=conversion.file_of(self._status.models[key], self._workspace),
                sha256=self._status.models[key].sha256,
            )
            for key, kind in contestants.values()
        ]
        started = time.perf_counter()
        try:
            found = profile_contestants(
                self._prepared,
                entries,
                self._asked.profile,
                records=self._workspace.records,
                relative_to=self._workspace.path,
                say=self.say,
            )
        except TurnkeyError as error:
            found = {each.key: Profiled(rungs=(), stop_reason="error", error=error) for each in entries}
        for name, result in found.items():
            key, kind = contestants[name]
            self._end_profile(key, kind, result, started)

    def _end_profile(self, key: str, kind: RunnerKind, result: Profiled, started: float) -> None:
        reason = "" if result.error is None else _reason_of(result.error)
        status = OK if result.rungs and not isinstance(result.error, VerificationError) else FAIL
        notes = self._runner(key, kind).notes
        if status is OK and reason:
            notes = (*notes, f"incomplete: {reason}")
        self._end(
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
        runner = self._runner(config.key, kind)
        known = runner.commands.get(VERIFY)
        if known is not None and known.is_done:
            return
        if runner.ended(CORRECTNESS) is not OK or runner.ended(PERFORMANCE) is not OK:
            self._end(config.key, kind, VERIFY, SKIPPED, reason="Correctness and Performance must be OK")
            return
        assert self._asked.verify_func is not None, "the caller asked"
        started = time.perf_counter()
        path = conversion.file_of(self._status.models[config.key], self._workspace)
        reason = verify_runner(self._asked.verify_func, kind, path, self._prepared)
        self._end(config.key, kind, VERIFY, FAIL if reason else OK, reason=reason, started=started)

    def _keep(self, status: Status) -> None:
        self._status = status
        write_status(status, self._workspace.status)


def _without_chatter(config: dict[str, Any]) -> dict[str, Any]:
    """What a call asks for without how much it prints: a resumed call may be more talkative."""
    return {name: value for name, value in config.items() if name not in ("verbose", "debug")}


def _reason_of(error: TurnkeyError) -> str:
    first = error.evidence.splitlines()[0] if error.evidence else ""
    return f"{error.what}: {first}"[:1000] if first else error.what


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
