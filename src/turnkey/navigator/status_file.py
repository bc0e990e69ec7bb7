"""``status.yaml``: the documented keys, as version 0.5 reads them, and under ``turnkey`` everything that is ours.

A reader of 0.5 refuses unknown keys inside its records. Therefore the documented part holds documented keys alone,
for those models and runners that 0.5 knows, and the part ``turnkey`` holds all models with all facts. Turnkey reads
its own part where there is one, and the documented part of packages that others wrote.

=======  ====================================================================================
version  what this reader does about it
=======  ====================================================================================
0.1.x    read; profiler fields that were called None are the defaults
0.2.x    read and written (0.2.1)
0.3.x    read; ``optimization_profile`` in place of ``profiler_config``
=======  ====================================================================================
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.navigator.exceptions import BackwardCompatibilityError
from turnkey.navigator.format import Format
from turnkey.navigator.metadata import TensorMetadata
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    CommandRun,
    CommandStatus,
    ModelStatus,
    OutputTolerance,
    Rung,
    RunnerStatus,
    Status,
)
from turnkey.navigator.stored_facts import check_config, check_environment, check_facts, check_ranges
from turnkey.navigator.stored_name import safe_name, safe_relative
from turnkey.navigator.typed_record import mapping, sequence, typed, typed_record
from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.plain_yaml import Document

FORMAT_VERSION = "0.2.1"
SCHEMA = 1
"""Version of the part ``turnkey``. 1: first."""
_OLDEST, _NEWEST = (0, 1, 0), (0, 3, 2)
_KNOWN_FORMATS = {
    Format.PYTHON,
    Format.TORCH,
    Format.TORCHSCRIPT,
    Format.ONNX,
    Format.TENSORRT,
    Format.TORCH_TRT,
    Format.TENSORFLOW,
    Format.TF_SAVEDMODEL,
    Format.TF_TRT,
    Format.JAX,
}
_KNOWN_RUNNERS = {
    *("PythonRunner", "TorchCPU", "TorchCUDA", "TorchScriptCPU", "TorchScriptCUDA", "TorchTensorRT"),
    *("OnnxCPU", "OnnxCUDA", "OnnxTensorRT", "TensorRT"),
}


def write_status(status: Status, path: Path) -> None:
    """Write the file, whole or not at all. Raises InputError if it cannot be written."""
    durable.write_text(path, plain_yaml.dump(status_document(status)))


def status_document(status: Status) -> dict[str, Any]:
    """The content of the file, keys in the documented order."""
    known = {
        key: _documented_model(model, status.models)
        for key, model in status.models.items()
        if model.model_config.format in _KNOWN_FORMATS
    }
    document = {
        "format_version": FORMAT_VERSION,
        "model_navigator_version": status.model_navigator_version,
        "uuid": status.uuid,
        "environment": status.environment,
        "config": status.config,
        "models_status": known,
        "input_metadata": [spec.to_dict() for spec in status.input_metadata],
        "output_metadata": [spec.to_dict() for spec in status.output_metadata],
        "dataloader_trt_profile": status.dataloader_trt_profile,
        "dataloader_max_batch_size": status.dataloader_max_batch_size,
        "status": {name: run.status for name, run in status.commands.items()},
        "result": {},
        "timestamp": status.timestamp,
        "turnkey": {
            "schema": SCHEMA,
            "origin": {"format_version": status.format_version},
            "models": {key: _own_model(model) for key, model in status.models.items()},
            "commands": {name: asdict(run) for name, run in status.commands.items()},
            "facts": status.own,
        },
    }
    return _finite(plain(document))  # type: ignore[no-any-return]


def read_status(path: Path) -> Status:
    """Read a file.

    Raises:
        InputError: there is none.
        BackwardCompatibilityError: of a version that cannot be read.
        ArtifactError: it is corrupt or hostile.
    """
    document = plain_yaml.read(path)
    data = document.data
    version = _version(document)
    try:
        own = data.get("turnkey")
        if own is not None:
            if not isinstance(own, dict) or own.get("schema") != SCHEMA:
                raise document.error("the part turnkey is of a version that cannot be read", "turnkey")
            models = _models(own["models"], _own_model_of)
            commands = _commands(own["commands"])
            origin, facts = str(own["origin"]["format_version"]), check_facts(mapping(own["facts"]))
        else:
            models = _models(data["models_status"], _documented_model_of)
            commands = _ends(data.get("status"))
            origin, facts = version, {}
        ranges = mapping(data.get("dataloader_trt_profile"))
        return Status(
            uuid=str(data.get("uuid", "")),
            format_version=origin,
            model_navigator_version=str(data.get("model_navigator_version", "")),
            environment=check_environment(mapping(data.get("environment"))),
            config=check_config(_migrated_config(mapping(data.get("config")))),
            models=models,
            input_metadata=_tensors(data.get("input_metadata")),
            output_metadata=_tensors(data.get("output_metadata")),
            dataloader_trt_profile=ranges if own is None else check_ranges(ranges),
            dataloader_max_batch_size=typed(
                int | None, data.get("dataloader_max_batch_size"), "dataloader_max_batch_size"
            ),
            commands=commands,
            own=facts,
            timestamp=str(data.get("timestamp", "")),
        )
    except ArtifactError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtifactError(
            "the status of this package cannot be read", evidence=f"{path}: {type(error).__name__}: {error}"
        ) from error


def _models(items: Any, read: Callable[[Mapping[str, Any]], ModelStatus]) -> dict[str, ModelStatus]:
    """Models by key; one that is listed under another key than its own is refused."""
    found = {safe_name(key): read(item) for key, item in mapping(items).items()}
    for key, model in found.items():
        if model.model_config.key != key:
            raise ValueError(f"the model {key!r} calls itself {model.model_config.key!r}")
    return found


def _version(document: Document) -> str:
    text = str(document.data.get("format_version", ""))
    try:
        numbers = tuple(int(part) for part in text.split("."))
    except ValueError:
        numbers = ()
    if not _OLDEST <= numbers <= _NEWEST:
        raise BackwardCompatibilityError(
            "this package is of a format that cannot be read",
            evidence=f"{document.path}: format_version {text!r}; 0.1.0 to 0.3.2 are read",
        )
    return text


def _migrated_config(config: dict[str, Any]) -> dict[str, Any]:
    """The call's configuration in the names of 0.2.1."""
    profile = config.pop("optimization_profile", None)
    if isinstance(profile, dict) and "profiler_config" not in config:
        renamed = {"window_size": "measurement_request_count"}
        kept = {"batch_sizes", "window_size", "stability_percentage", "max_trials", "throughput_cutoff_threshold"}
        config["profiler_config"] = {renamed.get(k, k): v for k, v in profile.items() if k in kept}
    return config


def _documented_model(model: ModelStatus, models: Mapping[str, ModelStatus]) -> dict[str, Any]:
    config = model.model_config
    parent = models.get(config.parent_key or "")
    return {
        "model_config": {
            "format": config.format,
            "key": config.key,
            "path": config.path,
            "parent_path": None if parent is None else parent.model_config.path,
            "parent_key": config.parent_key,
            "log_path": config.log_path,
            **config.parameters,
        },
        "runners_status": {
            name: {"runner_name": name, "status": runner.status, "result": runner.result}
            for name, runner in model.runners_status.items()
            if name in _KNOWN_RUNNERS
        },
        "status": model.status,
        "result": {},
    }


def _documented_model_of(item: Mapping[str, Any]) -> ModelStatus:
    config = mapping(item["model_config"])
    for name in ("parent_path", "log_path"):
        config.pop(name, None)
    runners = {}
    for name, fields_of in mapping(item.get("runners_status")).items():
        result = mapping(fields_of.get("result"))
        tolerances = sequence(mapping(result.get(CORRECTNESS)).get("per_output_tolerance"))
        rungs = sequence(mapping(result.get(PERFORMANCE)).get("profiling_results"))
        runners[safe_name(name)] = RunnerStatus(
            runner_name=safe_name(name),
            commands=_ends(fields_of.get("status")),
            tolerances=tuple(typed_record(OutputTolerance, each) for each in tolerances),
            rungs=tuple(typed_record(Rung, each) for each in rungs),
        )
    return ModelStatus(
        model_config=ModelConfig(
            format=Format(config.pop("format")),
            key=safe_name(config.pop("key")),
            path=safe_relative(config.pop("path")),
            parent_key=_parent(config.pop("parent_key", None)),
            parameters=config,
        ),
        runners_status=runners,
        commands=_ends(item.get("status")),
    )


def _own_model(model: ModelStatus) -> dict[str, Any]:
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


def _own_model_of(item: Mapping[str, Any]) -> ModelStatus:
    config = mapping(item["model_config"])
    return ModelStatus(
        model_config=ModelConfig(
            format=Format(config["format"]),
            key=safe_name(config["key"]),
            path=safe_relative(config["path"]),
            parent_key=_parent(config["parent_key"]),
            parameters=mapping(config["parameters"]),
        ),
        runners_status={safe_name(name): _runner(each) for name, each in mapping(item["runners"]).items()},
        commands=_commands(item["commands"]),
        sha256=typed(str, item["sha256"], "sha256"),
        size_bytes=typed(int, item["size_bytes"], "size_bytes"),
        files=tuple(safe_relative(each) for each in sequence(item["files"])),
        exporter=typed(str, item["exporter"], "exporter"),
        notes=typed(tuple[str, ...], item["notes"], "notes"),
    )


def _runner(item: Mapping[str, Any]) -> RunnerStatus:
    return RunnerStatus(
        runner_name=safe_name(item["runner_name"]),
        commands=_commands(item["commands"]),
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


def _commands(items: Any) -> dict[str, CommandRun]:
    return {safe_name(name): _command(mapping(run)) for name, run in mapping(items).items()}


def _command(item: Mapping[str, Any]) -> CommandRun:
    return CommandRun(
        status=CommandStatus(item["status"]),
        reason=typed(str, item["reason"], "reason"),
        seconds=typed(float, item["seconds"], "seconds"),
        log_path=typed(str, item["log_path"], "log_path"),
    )


def _ends(items: Any) -> dict[str, CommandRun]:
    """Commands of a documented record, which says only how each ended."""
    return {safe_name(name): CommandRun(status=CommandStatus(end)) for name, end in mapping(items).items()}


def _parent(text: Any) -> str | None:
    return None if text is None else safe_name(text)


def _tensors(items: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(
            name=typed(str, item["name"], "name"),
            shape=tuple(-1 if extent is None else typed(int, extent, "shape") for extent in sequence(item["shape"])),
            dtype=typed(str, item["dtype"], "dtype"),
        )
        for item in sequence(items)
    )


def _finite(value: Any) -> Any:
    """Numbers that are not finite as null: YAML's ``.nan`` is read by some and breaks others."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value in ("nan", "inf", "-inf") else value
