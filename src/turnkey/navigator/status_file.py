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

from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from turnkey.errors import ArtifactError
from turnkey.navigator.documented_status import documented_model_of, documented_models, ends_of
from turnkey.navigator.exceptions import BackwardCompatibilityError
from turnkey.navigator.metadata import TensorMetadata
from turnkey.navigator.own_status import commands_of, own_model, own_model_of
from turnkey.navigator.status import ModelStatus, Status
from turnkey.navigator.stored_facts import check_config, check_environment, check_facts, check_ranges
from turnkey.navigator.stored_name import safe_name
from turnkey.navigator.typed_record import mapping, sequence, typed
from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.plain_data import finite, plain
from turnkey.pipeline.plain_yaml import Document

FORMAT_VERSION = "0.2.1"
SCHEMA = 1
"""Version of the part ``turnkey``. 1: first."""
_OLDEST, _NEWEST = (0, 1, 0), (0, 3, 2)


def write_status(status: Status, path: Path) -> None:
    """Write the file, whole or not at all. Raises InputError if it cannot be written."""
    durable.write_text(path, plain_yaml.dump(status_document(status)))


def status_document(status: Status) -> dict[str, Any]:
    """The content of the file, keys in the documented order."""
    document = {
        "format_version": FORMAT_VERSION,
        "model_navigator_version": status.model_navigator_version,
        "uuid": status.uuid,
        "environment": status.environment,
        "config": status.config,
        "models_status": documented_models(status.models),
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
            "models": {key: own_model(model) for key, model in status.models.items()},
            "commands": {name: asdict(run) for name, run in status.commands.items()},
            "facts": status.own,
        },
    }
    return plain(finite(document))  # type: ignore[no-any-return]


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
            models = _models(own["models"], own_model_of)
            commands = commands_of(own["commands"])
            origin, facts = str(own["origin"]["format_version"]), check_facts(mapping(own["facts"]))
        else:
            models = _models(data["models_status"], documented_model_of)
            commands = ends_of(data.get("status"))
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


def _tensors(items: Any) -> tuple[TensorMetadata, ...]:
    return tuple(
        TensorMetadata(
            name=typed(str, item["name"], "name"),
            shape=tuple(-1 if extent is None else typed(int, extent, "shape") for extent in sequence(item["shape"])),
            dtype=_dtype(item["dtype"]),
        )
        for item in sequence(items)
    )


def _dtype(text: Any) -> str:
    """The name of a dtype. Raises ValueError or TypeError for what names none."""
    name: str = typed(str, text, "dtype")
    if name != "string":
        np.dtype(getattr(ml_dtypes, name, name))
    return name
