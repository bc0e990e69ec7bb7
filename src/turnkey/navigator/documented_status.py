"""The documented part of ``status.yaml``: models and runners that version 0.5 knows, with documented keys alone.

A reader of 0.5 refuses unknown keys inside its records.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnkey.navigator.format import Format
from turnkey.navigator.own_status import config_of
from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    CommandRun,
    CommandStatus,
    ModelStatus,
    OutputTolerance,
    Rung,
    RunnerStatus,
)
from turnkey.navigator.stored_name import safe_name
from turnkey.navigator.typed_record import mapping, sequence, typed_record

_FORMATS = {
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
_RUNNERS = {
    *("PythonRunner", "TorchCPU", "TorchCUDA", "TorchScriptCPU", "TorchScriptCUDA", "TorchTensorRT"),
    *("OnnxCPU", "OnnxCUDA", "OnnxTensorRT", "TensorRT"),
}
_OF_CONFIG = ("format", "key", "path", "parent_path", "parent_key", "log_path")


def documented_models(models: Mapping[str, ModelStatus]) -> dict[str, Any]:
    """``models_status``: those that 0.5 knows."""
    return {key: _documented(model, models) for key, model in models.items() if model.model_config.format in _FORMATS}


def documented_model_of(item: Mapping[str, Any]) -> ModelStatus:
    """A model of ``models_status``. Raises ValueError, KeyError or TypeError for what is none."""
    config = mapping(item["model_config"])
    runners = {}
    for name, fields_of in mapping(item.get("runners_status")).items():
        result = mapping(fields_of.get("result"))
        tolerances = sequence(mapping(result.get(CORRECTNESS)).get("per_output_tolerance"))
        rungs = sequence(mapping(result.get(PERFORMANCE)).get("profiling_results"))
        runners[safe_name(name)] = RunnerStatus(
            runner_name=safe_name(name),
            commands=ends_of(fields_of.get("status")),
            tolerances=tuple(typed_record(OutputTolerance, each) for each in tolerances),
            rungs=tuple(typed_record(Rung, each) for each in rungs),
        )
    return ModelStatus(
        model_config=config_of(
            {"parent_key": None, **config},
            {name: value for name, value in config.items() if name not in _OF_CONFIG},
        ),
        runners_status=runners,
        commands=ends_of(item.get("status")),
    )


def ends_of(items: Any) -> dict[str, CommandRun]:
    """Commands of a documented record, which says only how each ended."""
    return {safe_name(name): CommandRun(status=CommandStatus(end)) for name, end in mapping(items).items()}


def _documented(model: ModelStatus, models: Mapping[str, ModelStatus]) -> dict[str, Any]:
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
            if name in _RUNNERS
        },
        "status": model.status,
        "result": {},
    }
