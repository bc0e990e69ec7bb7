"""The journal of a run: its status, durable after every command, and who is told."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.progress import Progress
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.status import CommandRun, CommandStatus, ModelStatus, RunnerStatus, Status
from turnkey.navigator.status_file import write_status
from turnkey.navigator.workspace import Workspace
from turnkey.pipeline.capture import log_tail

_TAIL_LINES = 20


class Journal:
    """The status of one run in its workspace, whose lock the caller holds.

    Args:
        status: as it stands.
        verbose, debug: tell everything; with ``debug`` the end of a failed command's log too.

    Attributes:
        status: as it stands now.
        workspace: where everything lies.
        progress: who is told.
    """

    def __init__(self, workspace: Workspace, status: Status, *, verbose: bool, debug: bool) -> None:
        self.workspace = workspace
        self.status = status
        self.progress = Progress(workspace.log, verbose=verbose or debug)
        self._debug = debug

    def keep(self, status: Status) -> None:
        """Take the status for the one that holds, and write it. Raises InputError if it cannot be written."""
        self.status = status
        write_status(status, self.workspace.status)

    def runner(self, key: str, kind: RunnerKind) -> RunnerStatus:
        """What is known of a runner; an empty one before its first command."""
        known = self.status.models[key].runners_status.get(kind.name)
        return known or RunnerStatus(runner_name=kind.name)

    def end_model(
        self,
        config: ModelConfig,
        command: str,
        status: CommandStatus,
        reason: str,
        *,
        seconds: float = 0.0,
        log: Path | None = None,
    ) -> None:
        """A model was not made."""
        self.progress.warn(f"{config.key}: {command} {status.value}: {reason}")
        self._tell_log(status, log)
        run = CommandRun(status=status, reason=reason, seconds=round(seconds, 3), log_path=self._relative(log))
        self.keep(self.status.with_model(self.status.models[config.key].with_command(command, run)))

    def made(self, model: ModelStatus, command: str, *, seconds: float, log: Path) -> None:
        """A model was made."""
        run = CommandRun(status=CommandStatus.OK, seconds=round(seconds, 3), log_path=self._relative(log))
        key = model.model_config.key
        self.progress.step(f"{key}: made by {model.exporter}, {model.size_bytes} bytes, {seconds:.1f} s")
        self.keep(self.status.with_model(replace(model, commands={command: run})))

    def end_runner(
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
        """A command of a runner has ended.

        Args:
            started: by `time.perf_counter`; None for what was not begun.
            found: fields of `RunnerStatus` that it found.
        """
        seconds = 0.0 if started is None else round(time.perf_counter() - started, 3)
        run = CommandRun(status=status, reason=reason, seconds=seconds, log_path=self._relative(log))
        runner = replace(self.runner(key, kind), **found).with_command(command, run)
        tell = self.progress.step if status is CommandStatus.OK else self.progress.warn
        tell(f"{key} @ {kind.name}: {command} {status.value}" + (f": {reason}" if reason else ""))
        self._tell_log(status, log)
        self.keep(self.status.with_runner(key, runner))

    def _relative(self, log: Path | None) -> str:
        return "" if log is None else self.workspace.relative(log)

    def _tell_log(self, status: CommandStatus, log: Path | None) -> None:
        if self._debug and status is CommandStatus.FAIL and log is not None:
            self.progress.detail(log_tail(log, lines=_TAIL_LINES))
