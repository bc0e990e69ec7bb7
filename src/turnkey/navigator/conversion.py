"""One model of a package made from its parent: which format plug-in with which settings, and its files afterwards."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.file_digest import digest_of_files
from turnkey.formats import FORMATS
from turnkey.formats.route import installed_format
from turnkey.navigator.conversion_cache import ConversionCache, conversion_key
from turnkey.navigator.format import Format
from turnkey.navigator.format_configs import DEFAULT_MAX_WORKSPACE_SIZE
from turnkey.navigator.job_runner import JobRunner
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.model_files import file_of, files_of
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.status import ModelStatus, Status
from turnkey.navigator.workspace import Workspace

EXPORT = "Export"
CONVERSION = "Conversion"
COPY = "copy of the given file"
REUSED = "taken from the cache of conversions: source, settings and versions are the same"
_ENGINES = {Format.TENSORRT: "tensorrt", Format.TORCH_TRT: "torch-tensorrt"}
"""Format plug-ins behind the documented names; with ``-fp16`` for that precision."""
_LARGEST_BATCH = 64
"""Of an engine, where neither its profile nor the call says another."""


def command_of(config: ModelConfig, status: Status) -> str:
    """``Export`` from a source in memory (or the copy of a given file), else ``Conversion``."""
    parent = status.models.get(config.parent_key or "")
    return EXPORT if parent is None or parent.model_config.format.is_source else CONVERSION


def plugin_of(config: ModelConfig) -> str:
    """Name of the format plug-in that makes a model."""
    if config.format is Format.TORCHSCRIPT:
        return f"torchscript-{config.parameters.get('jit_type', 'trace')}"
    if config.format is Format.STABLEHLO:
        return "jax"
    if config.format is Format.ONNX and config.parent_key == Format.TF_SAVEDMODEL.value:
        return "onnx-tensorflow"
    if config.format in _ENGINES:
        precision = str(config.parameters.get("precision", "fp32"))
        return _ENGINES[config.format] + ("" if precision == "fp32" else f"-{precision}")
    return str(config.format.value)


def obstacle_of(config: ModelConfig) -> str:
    """Why a model cannot be made here, with the install command; empty if it can."""
    if config.parameters.get("model_path") or config.parent_key is None:
        return ""
    name = plugin_of(config)
    if name not in FORMATS.names():
        return f"this Turnkey has no format {name}: it needs a plug-in (entry point group turnkey.formats)"
    try:
        installed_format(name)
    except TurnkeyError as error:
        return f"{error.what}: {error.remedy}" if error.remedy else error.what
    return ""


def settings_for(config: ModelConfig, prepared: Prepared, *, max_batch: int | None = None) -> dict[str, Any]:
    """Settings of the format plug-in from the model's parameters; what it does not know stays with us.

    Args:
        max_batch: of an engine; None is what its profile, else the samples say.
    """
    parameters = config.parameters
    if config.format is Format.TORCHSCRIPT:
        return {"strict": bool(parameters.get("strict", True))}
    if config.format is Format.ONNX:
        chosen: dict[str, Any] = {"opset": int(parameters.get("opset", 17))}
        if config.parent_key == Format.TF_SAVEDMODEL.value:
            return chosen
        chosen["exporter"] = "native"
        axes = parameters.get("dynamic_axes")
        if axes:
            chosen["dynamic"] = [[name, int(axis)] for name, places in axes.items() for axis in places]
        return chosen
    if config.format in _ENGINES:
        chosen = {"workspace_bytes": int(parameters.get("max_workspace_size") or DEFAULT_MAX_WORKSPACE_SIZE)}
        if config.format is Format.TENSORRT:
            chosen["max_batch"] = max_batch or largest_batch(config, prepared)
            if parameters.get("optimization_level") is not None:
                chosen["optimization_level"] = int(parameters["optimization_level"])
        return chosen
    return {}


def needs_max_batch(config: ModelConfig) -> bool:
    """Whether it is an engine for a range of batches that no profile of the caller says."""
    return config.format is Format.TENSORRT and not config.parameters.get("trt_profile")


def largest_batch(config: ModelConfig, prepared: Prepared) -> int:
    """Of an engine: its profile's, else the largest that is checked here, at least `_LARGEST_BATCH`."""
    profile = config.parameters.get("trt_profile") or {}
    given = [int(shapes["max"][0]) for shapes in profile.values() if shapes["max"]]
    seen = [prepared.metadata.largest_batch or 1, *prepared.sizes]
    return max(given) if given else max(_LARGEST_BATCH, *seen)


def convert(
    config: ModelConfig,
    parent: ModelStatus | None,
    prepared: Prepared,
    jobs: JobRunner,
    workspace: Workspace,
    *,
    log: Path,
    content: str = "",
    cache: ConversionCache | None = None,
    max_batch: int | None = None,
) -> ModelStatus:
    """Make the model's file, or take it from the cache.

    Args:
        content: digest of the source with its samples.
        cache: of conversions; None makes it in any case.
        max_batch: of an engine.

    Raises:
        TurnkeyError: it cannot be made.
    """
    path = workspace.path / config.path
    given = config.parameters.get("model_path") or (prepared.source.model if config.parent_key is None else None)
    if given is not None:
        return _copied(config, Path(given), workspace)
    parent_path = None if parent is None else file_of(parent, workspace)
    log.parent.mkdir(parents=True, exist_ok=True)
    job = {
        "kind": "convert",
        "title": f"{parent.model_config.key if parent else 'source'} -> {config.key}",
        "log": str(log),
        "format": plugin_of(config),
        "settings": settings_for(config, prepared, max_batch=max_batch),
        "parent": None if parent_path is None else str(parent_path),
        "path": str(path),
        "output_names": [spec.name for spec in prepared.metadata.outputs],
    }
    key = conversion_key(content, job, parent="" if parent is None else parent.sha256)
    answer = None if cache is None else cache.recall(key, path)
    if answer is None:
        answer = jobs.perform(job)
        if cache is not None:
            cache.keep(key, answer)
    else:
        answer = {**answer, "notes": [*answer["notes"], REUSED]}
        log.write_text(f"{job['title']}: {REUSED}\n", encoding="utf-8")
    return ModelStatus(
        model_config=config,
        sha256=answer["sha256"],
        size_bytes=answer["size_bytes"],
        files=tuple(workspace.relative(Path(each)) for each in answer["files"]),
        exporter=answer["exporter"],
        notes=tuple(answer["notes"]),
    )


def _copied(config: ModelConfig, given: Path, workspace: Workspace) -> ModelStatus:
    """The user's own file, copied with its external data."""
    path = workspace.path / config.path
    if config.format is Format.ONNX:
        from turnkey.formats.onnx_file import check_file, copy_model

        check_file(given)
        copy_model(given, path)
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(given, path)
    files = files_of(path)
    digest, size_bytes = digest_of_files(files)
    return ModelStatus(
        model_config=config,
        sha256=digest,
        size_bytes=size_bytes,
        files=tuple(workspace.relative(each) for each in files),
        exporter=COPY,
    )
