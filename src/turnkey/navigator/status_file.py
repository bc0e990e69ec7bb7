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
import re
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any, TypeVar

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
_NAME = re.compile(r"\w(?:[\w.+,=:@() -]{0,198}[\w+)-])?")
"""Of models, runners and commands: what becomes a part of file names and of the text of scripts."""
T = TypeVar("T")


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
            commands = {safe_name(key): _command(item) for key, item in own["commands"].items()}
            origin, facts = str(own["origin"]["format_version"]), dict(own["facts"])
        else:
            models = _models(data["models_status"], _documented_model_of)
            ends = data.get("status") or {}
            commands = {safe_name(key): CommandRun(status=CommandStatus(end)) for key, end in ends.items()}
            origin, facts = version, {}
        return Status(
            uuid=str(data.get("uuid", "")),
            format_version=origin,
            model_navigator_version=str(data.get("model_navigator_version", "")),
            environment=_mapping(data.get("environment")),
            config=_migrated_config(_mapping(data.get("config"))),
            models=models,
            input_metadata=_tensors(data.get("input_metadata")),
            output_metadata=_tensors(data.get("output_metadata")),
            dataloader_trt_profile=_mapping(data.get("dataloader_trt_profile")),
            dataloader_max_batch_size=data.get("dataloader_max_batch_size"),
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


def safe_relative(text: Any) -> str:
    """A path inside a package as it is stored.

    Raises:
        ValueError: it is absolute, climbs, or is no plain text.
    """
    from pathlib import PurePosixPath

    if not isinstance(text, str) or "\\" in text or "\0" in text:
        raise ValueError(f"a path {text!r}")
    pure = PurePosixPath(text)
    if pure.is_absolute() or ".." in pure.parts or not pure.parts:
        raise ValueError(f"the path {text!r} leaves the package")
    return text


def safe_name(text: Any) -> str:
    """The name of a model, runner or command as it is stored.

    Raises:
        ValueError: it could not be a part of a file name, or would not stay text in a script.
    """
    if not isinstance(text, str) or not _NAME.fullmatch(text):
        raise ValueError(f"a name {text!r}")
    return text


def _models(items: Mapping[str, Any], read: Callable[[Mapping[str, Any]], ModelStatus]) -> dict[str, ModelStatus]:
    """Models by key; one that is listed under another key than its own is refused."""
    found = {safe_name(key): read(item) for key, item in items.items()}
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
    config = dict(item["model_config"])
    for name in ("parent_path", "log_path"):
        config.pop(name, None)
    runners = {}
    for name, fields_of in (item.get("runners_status") or {}).items():
        result = fields_of.get("result") or {}
        ends = fields_of.get("status") or {}
        tolerances = (result.get(CORRECTNESS) or {}).get("per_output_tolerance") or []
        rungs = (result.get(PERFORMANCE) or {}).get("profiling_results") or []
        runners[safe_name(name)] = RunnerStatus(
            runner_name=safe_name(name),
            commands={safe_name(key): CommandRun(status=CommandStatus(end)) for key, end in ends.items()},
            tolerances=tuple(_known_fields(OutputTolerance, each) for each in tolerances),
            rungs=tuple(_known_fields(Rung, each) for each in rungs),
        )
    ends = item.get("status") or {}
    return ModelStatus(
        model_config=ModelConfig(
            format=Format(config.pop("format")),
            key=safe_name(config.pop("key")),
            path=safe_relative(config.pop("path")),
            parent_key=_parent(config.pop("parent_key", None)),
            parameters=config,
        ),
        runners_status=runners,
        commands={safe_name(key): CommandRun(status=CommandStatus(end)) for key, end in ends.items()},
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
    config = dict(item["model_config"])
    return ModelStatus(
        model_config=ModelConfig(
            format=Format(config["format"]),
            key=safe_name(config["key"]),
            path=safe_relative(config["path"]),
            parent_key=_parent(config["parent_key"]),
            parameters=_mapping(config["parameters"]),
        ),
        runners_status={safe_name(name): _runner(each) for name, each in item["runners"].items()},
        commands={safe_name(name): _command(run) for name, run in item["commands"].items()},
        sha256=str(item["sha256"]),
        size_bytes=int(item["size_bytes"]),
        files=tuple(safe_relative(each) for each in item["files"]),
        exporter=str(item["exporter"]),
        notes=tuple(str(note) for note in item["notes"]),
    )


def _runner(item: Mapping[str, Any]) -> RunnerStatus:
    return RunnerStatus(
        runner_name=safe_name(item["runner_name"]),
        commands={safe_name(name): _command(run) for name, run in item["commands"].items()},
        tolerances=tuple(_known_fields(OutputTolerance, each) for each in item["tolerances"]),
        rungs=tuple(_rung(each) for each in item["rungs"]),
        complete=bool(item["complete"]),
        stop_reason=str(item["stop_reason"]),
        notes=tuple(str(note) for note in item["notes"]),
    )


def _rung(item: Mapping[str, Any]) -> Rung:
    tuples = {name: tuple(item.get(name) or ()) for name in ("reasons", "ties", "means_ms")}
    record = item.get("record")
    return _known_fields(Rung, {**item, **tuples, "record": safe_relative(record) if record else ""})


def _command(item: Mapping[str, Any]) -> CommandRun:
    return CommandRun(
        status=CommandStatus(item["status"]),
        reason=str(item["reason"]),
        seconds=float(item["seconds"]),
        log_path=str(item["log_path"]),
    )


def _parent(text: Any) -> str | None:
    return None if text is None else safe_name(text)


def _known_fields(kind: type[T], item: Mapping[str, Any]) -> T:
    """An object of the fields that this version knows; older records have fewer, newer ones may have more."""
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # a dataclass
    return kind(**{name: value for name, value in item.items() if name in known})


def _tensors(items: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(
            name=str(item["name"]),
            shape=tuple(-1 if extent is None else int(extent) for extent in item["shape"]),
            dtype=str(item["dtype"]),
        )
        for item in items or ()
    )


def _mapping(value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ValueError(f"{value!r} is no mapping")
    return dict(value)


def _finite(value: Any) -> Any:
    """Numbers that are not finite as null: YAML's ``.nan`` is read by some and breaks others."""
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_finite(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value in ("nan", "inf", "-inf") else value
