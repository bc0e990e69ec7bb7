"""The workspace as a build of the pipeline: its variants, verification and measurements for every other tool.

``turnkey -i WORKSPACE/<name>_state.yaml load-build report`` then works on what `optimize` made.
"""

from __future__ import annotations

from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.navigator.conversion import plugin_of
from turnkey.navigator.format import Format
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.runner_table import runner_kinds
from turnkey.navigator.status import CORRECTNESS, PERFORMANCE, CommandStatus, ModelStatus, RunnerStatus, Status
from turnkey.navigator.strategy import DEFAULT_STRATEGIES, best_runtime, candidates_of
from turnkey.navigator.workspace import Workspace
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import write_state
from turnkey.pipeline.statistics import write_statistics


def write_build_state(status: Status, workspace: Workspace, prepared: Prepared) -> None:
    """Write state and statistics beside ``status.yaml``. Raises InputError if they cannot be written."""
    models = [model for model in status.models.values() if model.files and model.is_there]
    try:
        best = best_runtime(candidates_of(status), list(DEFAULT_STRATEGIES))
        chosen = f"{best.model_key} @ {best.runner_name}"
    except TurnkeyError:
        chosen = None
    source = prepared.source
    state = State(
        cache_dir=workspace.path.parent,
        build_name=workspace.path.name,
        build_status="successful",
        uid=status.uuid.replace("-", "")[:16],
        input={"path": str(source.model) if source.format is Format.ONNX else str(status.own.get("source_name", ""))},
        expected_input_shapes={
            spec.name: tuple(spec.name + f"_{i}" if n < 0 else n for i, n in enumerate(spec.shape))
            for spec in status.input_metadata
        },
        expected_input_dtypes={spec.name: spec.dtype for spec in status.input_metadata},
        expected_output_names=tuple(spec.name for spec in status.output_metadata),
        variants=tuple(_variant(model, status) for model in models),
        results=models[-1].model_config.key if models else None,
        verification=tuple(entry for model in models for entry in _verification(model)),
        measurements=tuple(entry for model in status.models.values() for entry in _measurements(model)),
        chosen=chosen,
        environment={"seed": 0},
        statistics={
            "build_status": "successful",
            "model_name": str(status.own.get("source_name", "")),
            "class": str(status.own.get("source_name", "")),
        },
    )
    write_statistics(workspace.build, state.statistics)
    write_state(state)


def _variant(model: ModelStatus, status: Status) -> Variant:
    config = model.model_config
    return Variant(
        key=config.key,
        format=plugin_of(config),
        path=config.path,
        sha256=model.sha256,
        lineage=tuple(key for key in _ancestors(config, status) if status.models[key].files),
        exporter="loaded" if config.parent_key is None else model.exporter,
        size_bytes=model.size_bytes,
        notes=model.notes,
    )


def _ancestors(config: ModelConfig, status: Status) -> list[str]:
    found: list[str] = []
    key = config.parent_key
    while key is not None and key in status.models and key not in found:
        found.insert(0, key)
        key = status.models[key].model_config.parent_key
    return found


def _verification(model: ModelStatus) -> list[dict[str, Any]]:
    """One entry per runner: the pipeline asks whether a variant may be recommended."""
    entries = []
    for name, runner in model.runners_status.items():
        ended = runner.ended(CORRECTNESS)
        if ended not in (CommandStatus.OK, CommandStatus.FAIL):
            continue
        kind = runner_kinds().get(name)
        entries.append(
            {
                "key": model.model_config.key,
                "runtime": "" if kind is None else kind.runtime,
                "verdict": "valid" if ended is CommandStatus.OK else "invalid",
                "reason": runner.commands[CORRECTNESS].reason,
                "outputs": [each.documented() for each in runner.tolerances],
            }
        )
    return entries


def _measurements(model: ModelStatus) -> list[dict[str, Any]]:
    return [
        entry
        for runner in model.runners_status.values()
        if runner.ended(PERFORMANCE) is CommandStatus.OK
        for entry in _entries(model, runner)
    ]


def _entries(model: ModelStatus, runner: RunnerStatus) -> list[dict[str, Any]]:
    kind = runner_kinds().get(runner.runner_name)
    entries = []
    for rung in runner.rungs:
        key = f"{model.model_config.key} @ {runner.runner_name}"
        entry: dict[str, Any] = {
            "key": key if rung is runner.rungs[0] else f"{key}, batch {rung.batch_size}",
            "variant": model.model_config.key if model.files else None,
            "runtime": runner.runner_name if kind is None else kind.runtime,
            "device_type": "cpu" if kind is None else kind.device.value,
            "batch_size": rung.batch_size or 1,
            "latency_ms": rung.p50_latency,
            "latency_low_ms": rung.ci_low,
            "latency_high_ms": rung.ci_high,
            "mean_ms": rung.avg_latency,
            "std_ms": rung.std_latency,
            "throughput_items_per_second": rung.throughput,
            "timed_calls": rung.request_count,
            "validity": rung.validity,
            "reasons": list(rung.reasons),
            "verification": "valid",
            "record": rung.record,
            "size_bytes": model.size_bytes,
        }
        entries.append({name: value for name, value in entry.items() if value not in (None, "")})
    return entries
