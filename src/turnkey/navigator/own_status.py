"""The part ``turnkey`` of ``status.yaml``: all models with all facts, as dataclasses, every value of its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from turnkey.navigator.format import Format
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.status import CommandRun, CommandStatus, ModelStatus, OutputTolerance, Rung, RunnerStatus
from turnkey.navigator.stored_name import safe_name, safe_relative
from turnkey.navigator.typed_record import mapping, sequence, typed, typed_record


def own_model(model: ModelStatus) -> dict[str, Any]:
    """A model as the file holds it."""
    return {
        "model_config": asdict(model.model_config),
        "runners": {name: asdict(runner) for name, runner in model.runners_status.items()},
        "commands": {name: asdict(run) for name, run in model.commands.items()},
        "sha256": model.sha256,
        "size_bytes": model.size_bytes,
        "files": model.files,
        "exporter": model.exporter,
        "notes": model.notes,
    }


def own_model_of(item: Mapping[str, Any]) -> ModelStatus:
    """The model of `own_model`. Raises ValueError, KeyError or TypeError for what is none."""
    config = mapping(item["model_config"])
    return ModelStatus(
        model_config=config_of(config, mapping(config["parameters"])),
        runners_status={safe_name(name): _runner(each) for name, each in mapping(item["runners"]).items()},
        commands=commands_of(item["commands"]),
        sha256=typed(str, item["sha256"], "sha256"),
        size_bytes=typed(int, item["size_bytes"], "size_bytes"),
        files=tuple(safe_relative(each) for each in sequence(item["files"])),
        exporter=typed(str, item["exporter"], "exporter"),
        notes=typed(tuple[str, ...], item["notes"], "notes"),
    )


def config_of(item: Mapping[str, Any], parameters: Mapping[str, Any]) -> ModelConfig:
    """What a model is, from either part of the file. Raises ValueError or KeyError for names that lead out of it."""
    parent = item["parent_key"]
    return ModelConfig(
        format=Format(item["format"]),
        key=safe_name(item["key"]),
        path=safe_relative(item["path"]),
        parent_key=None if parent is None else safe_name(parent),
        parameters=parameters,
    )


def commands_of(items: Any) -> dict[str, CommandRun]:
    """Commands by name. Raises ValueError or KeyError."""
    return {safe_name(name): _command(mapping(run)) for name, run in mapping(items).items()}


def _command(item: Mapping[str, Any]) -> CommandRun:
    return CommandRun(
        status=CommandStatus(item["status"]),
        reason=typed(str, item["reason"], "reason"),
        seconds=typed(float, item["seconds"], "seconds"),
        log_path=typed(str, item["log_path"], "log_path"),
    )


def _runner(item: Mapping[str, Any]) -> RunnerStatus:
    return RunnerStatus(
        runner_name=safe_name(item["runner_name"]),
        commands=commands_of(item["commands"]),
        tolerances=tuple(typed_record(OutputTolerance, each) for each in sequence(item["tolerances"])),
        rungs=tuple(_rung(each) for each in sequence(item["rungs"])),
        complete=typed(bool, item["complete"], "complete"),
        stop_reason=typed(str, item["stop_reason"], "stop_reason"),
        notes=typed(tuple[str, ...], item["notes"], "notes"),
    )


def _rung(item: Mapping[str, Any]) -> Rung:
    found = typed_record(Rung, item)
    if found.record:
        safe_relative(found.record)
    return found
