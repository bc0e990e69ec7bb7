"""Which models a call makes: formats with their parameters, from the source down. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from typing import Any

from turnkey.navigator.custom_config import CustomConfigForFormat
from turnkey.navigator.data_object import parsed
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import Format, member
from turnkey.navigator.format_configs import (
    OnnxConfig,
    TensorRTConfig,
    TorchConfig,
    TorchExportConfig,
    TorchScriptConfig,
    TorchTensorRTConfig,
)

PLACEHOLDER = "----"
"""In place of the file of a model that lives in memory."""

DEFAULT_TARGETS: Mapping[Format, tuple[Format, ...]] = {
    Format.TORCH: (
        Format.TORCHSCRIPT,
        Format.TORCH_EXPORTEDPROGRAM,
        Format.ONNX,
        Format.TORCH_TRT,
        Format.TENSORRT,
    ),
    Format.ONNX: (Format.ONNX, Format.TENSORRT),
    Format.PYTHON: (Format.PYTHON,),
}
KNOWN_TARGETS: Mapping[Format, tuple[Format, ...]] = {
    Format.TORCH: (Format.TORCH, *DEFAULT_TARGETS[Format.TORCH], Format.OPENVINO, Format.TORCH_AOTI),
    Format.ONNX: (*DEFAULT_TARGETS[Format.ONNX], Format.OPENVINO),
    Format.PYTHON: (Format.PYTHON, Format.STABLEHLO, Format.TF_SAVEDMODEL, Format.ONNX),
}
CALLABLE_TARGETS: Mapping[str, tuple[Format, ...]] = {
    "tensorflow": (Format.PYTHON, Format.TF_SAVEDMODEL, Format.ONNX),
    "jax": (Format.PYTHON, Format.STABLEHLO),
}
"""What callables of a library become by default, by the library's name."""
_LIBRARIES = {"tensorflow": "tensorflow", "keras": "tensorflow", "jax": "jax", "jaxlib": "jax"}
"""By the package in which the type of a callable is defined."""
_FRAMEWORKS = {Format.TORCH: "torch", Format.ONNX: "onnx", Format.PYTHON: "none"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """One model of a package.

    Attributes:
        format: how it is stored.
        key: format and its parameters, joined by ``-``: ``torchscript-trace``, ``trt-fp16``.
        path: ``<key>/model<suffix>``, or the placeholder for a source in memory.
        parent_key: what it is made from; None for the source.
        parameters: of its own, plain data: ``{"jit_type": "trace", "strict": True}``.
    """

    format: Format
    key: str
    path: str
    parent_key: str | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)

    @property
    def log_path(self) -> str:
        return f"{self.key}/format.log"


def source_format(model: Any) -> Format:
    """The format of what the user gave.

    Raises:
        ConfigurationError: it is no module, ONNX file or callable.
    """
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(model, torch.nn.Module):
        return Format.TORCH
    if isinstance(model, str | PathLike):
        return Format.ONNX
    if callable(model):
        return Format.PYTHON
    raise ConfigurationError(
        "this model is of no kind that optimize takes",
        evidence=f"it is a {type(model).__name__}",
        remedy="give a torch.nn.Module, the path of an ONNX file, or a Python callable",
    )


def framework_of(source: Format) -> str:
    """``torch``, ``onnx`` or ``none``, as ``status.yaml`` says it."""
    return _FRAMEWORKS[source]


def targets_of(source: Format, given: Sequence[Format | str] | None, *, model: Any = None) -> tuple[Format, ...]:
    """The formats to make, the source first.

    Args:
        model: the source, where it is at hand: a Keras model or a compiled function of JAX or TensorFlow says by its
            type what it can become. A plain function does not: `nav.jax.optimize` and `nav.tensorflow.optimize`.

    Raises:
        ConfigurationError: a format that cannot be made from such a source, or a source of which nothing is made here.
    """
    if source not in KNOWN_TARGETS:
        raise ConfigurationError(
            f"nothing can be made of {source.value} models here",
            evidence=f"but of {', '.join(each.value for each in KNOWN_TARGETS)}",
        )
    if given is None:
        packages = [kind.__module__.partition(".")[0] for kind in type(model).__mro__]
        library = next((_LIBRARIES[name] for name in packages if name in _LIBRARIES), "")
        wanted = CALLABLE_TARGETS[library] if source is Format.PYTHON and library else DEFAULT_TARGETS[source]
    else:
        texts = [given] if isinstance(given, str | Format) else list(given)
        wanted = tuple(member(Format, each, what="a target format") for each in texts)
    unknown = [each.value for each in wanted if each not in KNOWN_TARGETS[source]]
    if unknown:
        raise ConfigurationError(
            f"{framework_of(source)} models have no target format {', '.join(unknown)}",
            evidence=f"they have: {', '.join(each.value for each in KNOWN_TARGETS[source])}",
        )
    return tuple(dict.fromkeys((source, *wanted)))


def plan_models(
    source: Format, targets: Sequence[Format], configs: Mapping[Format, CustomConfigForFormat]
) -> tuple[ModelConfig, ...]:
    """Every model to make, parents before children, the source first.

    TensorRT engines need ONNX files and Torch-TensorRT needs exported programs: parents that were not asked for are
    planned too, since they are made on the way.
    """
    planned: dict[str, ModelConfig] = {}

    def add(model: ModelConfig) -> ModelConfig:
        return planned.setdefault(model.key, model)

    def config(kind: Format, default: CustomConfigForFormat) -> Any:
        return configs.get(kind, default)

    root = add(_model(source, None, {} if source is not Format.TORCH else _of(config(source, TorchConfig()))))
    if Format.TORCHSCRIPT in targets:
        chosen = config(Format.TORCHSCRIPT, TorchScriptConfig())
        for jit in chosen.jit_type:
            add(_model(Format.TORCHSCRIPT, root, {"jit_type": jit.value, **_of(chosen)}, jit.value))
    of_program = {Format.TORCH_EXPORTEDPROGRAM, Format.TORCH_TRT, Format.TORCH_AOTI} & set(targets)
    if of_program and source is Format.TORCH:
        chosen = config(Format.TORCH_EXPORTEDPROGRAM, TorchExportConfig())
        exported = add(_model(Format.TORCH_EXPORTEDPROGRAM, root, _of(chosen)))
        if Format.TORCH_TRT in targets:
            _engines(add, Format.TORCH_TRT, exported, config(Format.TORCH_TRT, TorchTensorRTConfig()))
        if Format.TORCH_AOTI in targets:
            add(_model(Format.TORCH_AOTI, exported, {}))
    if Format.STABLEHLO in targets:
        add(_model(Format.STABLEHLO, root, {}))
    if source is Format.PYTHON and {Format.TF_SAVEDMODEL, Format.ONNX} & set(targets):
        saved = add(_model(Format.TF_SAVEDMODEL, root, {}))
        if Format.ONNX in targets:
            add(_model(Format.ONNX, saved, _of(config(Format.ONNX, OnnxConfig()))))
    needs_onnx = {Format.ONNX, Format.TENSORRT, Format.OPENVINO} & set(targets)
    if needs_onnx:
        chosen = config(Format.ONNX, OnnxConfig())
        onnx = root if source is Format.ONNX else add(_model(Format.ONNX, root, _of(chosen)))
        if source is Format.TORCH and chosen.onnx_extended_conversion and Format.ONNX in targets:
            for parent in [each for each in planned.values() if each.format is Format.TORCHSCRIPT]:
                add(_model(Format.ONNX, parent, _of(chosen), parent.parameters["jit_type"]))
        if Format.OPENVINO in targets:
            add(_model(Format.OPENVINO, onnx, {}))
        if Format.TENSORRT in targets:
            _engines(add, Format.TENSORRT, onnx, config(Format.TENSORRT, TensorRTConfig()))
    return tuple(planned.values())


def _model(kind: Format, parent: ModelConfig | None, parameters: Mapping[str, Any], *marks: str) -> ModelConfig:
    inherited = [] if parent is None else [mark for mark in _marks(parent) if mark not in marks]
    key = "-".join([kind.value, *inherited, *marks])
    path = PLACEHOLDER if kind.is_source else f"model{kind.suffix}"
    return ModelConfig(
        format=kind,
        key=key,
        path=f"{key}/{path}",
        parent_key=None if parent is None else parent.key,
        parameters=parameters,
    )


def _marks(model: ModelConfig) -> list[str]:
    """What distinguishes a model from others of its format, handed down to its children."""
    return [part for part in model.key.removeprefix(model.format.value).split("-") if part]


def _engines(add: Any, kind: Format, parent: ModelConfig, config: Any) -> None:
    for precision in config.precision:
        fields = {"precision": precision.value, **_of(config, "precision")}
        add(_model(kind, parent, fields, precision.value))


def _of(config: CustomConfigForFormat, *without: str) -> dict[str, Any]:
    """A configuration's own fields as plain data."""
    fields: dict[str, Any] = parsed(config.to_dict(filter_fields=("jit_type", *without)))
    return fields
