"""What a package knows: models, runners, how every command ended, and what it found. Immutable values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any

from turnkey.navigator.metadata import TensorMetadata
from turnkey.navigator.model_config import ModelConfig

PREPROCESSING = (
    "InferInputMetadata",
    "FetchInputModelData",
    "InferOutputMetadata",
    "DumpInputModelData",
    "DumpOutputModelData",
)
LOADING = ("LoadMetadata", "LoadSamples")
"""In place of the preprocessing steps where a run begins with a package."""
FIND_MAX_BATCH_SIZE = "FindMaxBatchSize"
CORRECTNESS = "Correctness"
PERFORMANCE = "Performance"
VERIFY = "VerifyModel"


class CommandStatus(Enum):
    OK = "OK"
    FAIL = "FAIL"
    NOOP = "NOOP"
    INITIALIZED = "INITIALIZED"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandRun:
    """How one command ended.

    Attributes:
        status: its end.
        reason: why it failed or was skipped; empty otherwise.
        seconds: wall time.
        log_path: relative to the workspace.
    """

    status: CommandStatus
    reason: str = ""
    seconds: float = 0.0
    log_path: str = ""

    @property
    def is_done(self) -> bool:
        """Whether a resumed run need not repeat it."""
        return self.status in (CommandStatus.OK, CommandStatus.FAIL, CommandStatus.NOOP)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputTolerance:
    """How far one output lies from its reference, over all samples.

    Attributes:
        atol, rtol: largest differences; ``rtol`` over elements of the reference that are not 0.
        limit_atol, limit_rtol: by which it was judged; None where it was only recorded, or where nobody wrote it down.
    """

    output_name: str
    atol: float | None
    rtol: float | None
    limit_atol: float | None = None
    limit_rtol: float | None = None

    def documented(self) -> dict[str, Any]:
        """The fields of the original's record, and no other."""
        return {"output_name": self.output_name, "atol": self.atol, "rtol": self.rtol}


_DOCUMENTED = (
    "batch_size",
    "avg_latency",
    "std_latency",
    "p50_latency",
    "p90_latency",
    "p95_latency",
    "p99_latency",
    "throughput",
    "request_count",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rung:
    """One profiled batch size. Latencies in milliseconds, of the calls of the last windows pooled.

    Attributes:
        batch_size: None for a model without a batch axis.
        throughput: inferences per second, ``1000 * max(1, batch) / avg_latency``.
        request_count: calls pooled.
        stable: whether the last windows agreed.
        ci_center, ci_low, ci_high: the measuring engine's latency (exponential of the mean log of all slices) with
            its interval; the median of the last windows alone, `p50_latency`, may lie elsewhere on a busy machine.
        saturated: throughput stopped growing before this rung.
        record: the measurement with every call, relative to the workspace.
        validity: of the measurement, with the reasons against it.
        ties: runners, as ``model key @ runner``, that were not proven slower than this one at this batch size.
        means_ms: mean of every window.
        threads: of the runner; None where a runner measured itself or the package does not say.
    """

    batch_size: int | None
    avg_latency: float
    std_latency: float
    p50_latency: float
    p90_latency: float
    p95_latency: float
    p99_latency: float
    throughput: float
    request_count: int
    stable: bool = True
    stability_windows: int = 3
    ci_center: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    saturated: bool = False
    record: str = ""
    validity: str = "VALID"
    reasons: tuple[str, ...] = ()
    ties: tuple[str, ...] = ()
    means_ms: tuple[float, ...] = ()
    threads: int | None = None
    peak_memory_bytes: int | None = None
    load_ms: float | None = None
    first_call_ms: float | None = None

    def documented(self) -> dict[str, Any]:
        """The fields of the original's record, and no other."""
        return {name: getattr(self, name) for name in _DOCUMENTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerStatus:
    """One runner of one model.

    Attributes:
        commands: by name: Correctness, Performance, VerifyModel.
        tolerances: what Correctness found.
        rungs: what Performance found, ascending.
        complete: False if profiling ended by an error after some rungs.
        stop_reason: why profiling ended.
        notes: warnings for the reader.
    """

    runner_name: str
    commands: Mapping[str, CommandRun] = field(default_factory=dict)
    tolerances: tuple[OutputTolerance, ...] = ()
    rungs: tuple[Rung, ...] = ()
    complete: bool = True
    stop_reason: str = ""
    notes: tuple[str, ...] = ()

    @property
    def threads(self) -> int | None:
        """With how many threads it was profiled; None where that is not known."""
        return next((rung.threads for rung in self.rungs if rung.threads is not None), None)

    @property
    def status(self) -> dict[str, CommandStatus]:
        """Command to its end, as documented."""
        return {name: run.status for name, run in self.commands.items()}

    @property
    def result(self) -> dict[str, Any]:
        """What the commands found, in the documented form."""
        found: dict[str, Any] = {}
        if CORRECTNESS in self.commands:
            found[CORRECTNESS] = {"per_output_tolerance": [each.documented() for each in self.tolerances]}
        if PERFORMANCE in self.commands:
            found[PERFORMANCE] = {"profiling_results": [rung.documented() for rung in self.rungs]}
        return found

    def ended(self, command: str) -> CommandStatus:
        """How a command ended; INITIALIZED if it did not run."""
        run = self.commands.get(command)
        return CommandStatus.INITIALIZED if run is None else run.status

    def with_command(self, command: str, run: CommandRun) -> RunnerStatus:
        return replace(self, commands={**self.commands, command: run})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """One model with its runners.

    Attributes:
        commands: Export or Conversion.
        sha256, size_bytes: of its file with external data; empty and 0 for a source in memory.
        files: the model's file first, then those without which it cannot be read; relative to the workspace.
        exporter: who made it.
        notes: what a reader must know of the file.
    """

    model_config: ModelConfig
    runners_status: Mapping[str, RunnerStatus] = field(default_factory=dict)
    commands: Mapping[str, CommandRun] = field(default_factory=dict)
    sha256: str = ""
    size_bytes: int = 0
    files: tuple[str, ...] = ()
    exporter: str = ""
    notes: tuple[str, ...] = ()

    @property
    def status(self) -> dict[str, CommandStatus]:
        return {name: run.status for name, run in self.commands.items()}

    @property
    def is_there(self) -> bool:
        """Whether the model exists: every command of its own went well."""
        return all(run.status in (CommandStatus.OK, CommandStatus.NOOP) for run in self.commands.values())

    def with_command(self, command: str, run: CommandRun) -> ModelStatus:
        return replace(self, commands={**self.commands, command: run})

    def with_runner(self, runner: RunnerStatus) -> ModelStatus:
        return replace(self, runners_status={**self.runners_status, runner.runner_name: runner})


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Everything that ``status.yaml`` holds.

    Attributes:
        format_version, model_navigator_version: of who wrote it first.
        uuid: random.
        environment: of the machine; plain data.
        config: of the call; plain data with the documented keys.
        models: by key, the source first.
        dataloader_trt_profile: range of every input's shape.
        dataloader_max_batch_size: largest batch that was seen.
        commands: of the package as a whole: the preprocessing steps, or those of loading.
        own: what only Turnkey knows: fingerprint, seeds, structure of the call.
        timestamp: UTC, ISO 8601.
    """

    uuid: str
    format_version: str
    model_navigator_version: str
    environment: Mapping[str, Any]
    config: Mapping[str, Any]
    models: Mapping[str, ModelStatus] = field(default_factory=dict)
    input_metadata: tuple[TensorMetadata, ...] = ()
    output_metadata: tuple[TensorMetadata, ...] = ()
    dataloader_trt_profile: Mapping[str, Any] = field(default_factory=dict)
    dataloader_max_batch_size: int | None = None
    commands: Mapping[str, CommandRun] = field(default_factory=dict)
    own: Mapping[str, Any] = field(default_factory=dict)
    timestamp: str = ""

    @property
    def models_status(self) -> Mapping[str, ModelStatus]:
        return self.models

    def with_model(self, model: ModelStatus) -> Status:
        return replace(self, models={**self.models, model.model_config.key: model})

    def with_runner(self, key: str, runner: RunnerStatus) -> Status:
        return self.with_model(self.models[key].with_runner(runner))
