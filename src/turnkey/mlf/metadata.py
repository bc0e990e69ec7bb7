"""``metadata.json``: written as version 7 or 5, read as any of 1 to 7, normalised to one form.

Keys are sorted, so that the order of tensors is not in ``memory``: it is in ``turnkey.abi`` and in the header.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from turnkey.mlf.failures import MlfError, MlfUsageError, failure
from turnkey.mlf.json_shape import EXTENSION, MAIN, OPERATORS, SIDS, Kind, misfit
from turnkey.mlf.naming import module_name
from turnkey.mlf.tensor import Tensor
from turnkey.version import __version__

VERSIONS = range(1, 8)
_MODULE_NAME = re.compile(r"[\w.-]+", re.ASCII)
DEVICE_CPU = 1


def export_datetime(timestamp: int) -> str:
    """The time of export as the format writes it, in UTC; ``timestamp`` in seconds since 1970."""
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def memory_main(
    inputs: Sequence[Tensor], outputs: Sequence[Tensor], *, workspace: int, constants: int
) -> list[dict[str, Any]]:
    """``memory.functions.main``: what the entry point needs, in bytes."""
    return [
        {
            "device": DEVICE_CPU,
            "workspace_size_bytes": workspace,
            "constants_size_bytes": constants,
            "io_size_bytes": sum(tensor.bytes for tensor in (*inputs, *outputs)),
            "inputs": {tensor.name: {"size": tensor.bytes, "dtype": tensor.dtype} for tensor in inputs},
            "outputs": {tensor.name: {"size": tensor.bytes, "dtype": tensor.dtype} for tensor in outputs},
        }
    ]


def operator_functions(scratch_bytes: Mapping[str, int]) -> list[dict[str, Any]]:
    """``memory.functions.operator_functions``: the scratch of each kernel."""
    return [
        {"function_name": name, "workspace": [{"device": DEVICE_CPU, "workspace_size_bytes": size}]}
        for name, size in scratch_bytes.items()
    ]


def operator_memory(function: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> dict[str, Any]:
    """``memory`` of operator style: the function's tensors, inputs first."""
    return {
        function: [
            {
                "size_bytes": tensor.bytes,
                "shape": list(tensor.shape),
                "dtype": tensor.dtype,
                "input_binding": tensor.name,
            }
            for tensor in (*inputs, *outputs)
        ]
    }


def module_metadata(
    *,
    model_name: str,
    timestamp: int,
    style: str,
    target: str,
    executors: Sequence[str],
    memory: Mapping[str, Any],
    turnkey: Mapping[str, Any],
) -> dict[str, Any]:
    """The keys of one module."""
    return {
        "model_name": model_name,
        "export_datetime": export_datetime(timestamp),
        "style": style,
        "target": [target],
        "executors": list(executors),
        "runtimes": list(executors),
        "external_dependencies": [
            {
                "short_name": "turnkey_mlf_runtime",
                "url": "./runtime",
                "url_type": "mlf_path",
                "version_spec": __version__,
            }
        ],
        "memory": memory,
        "turnkey": turnkey,
    }


def metadata_text(modules: Mapping[str, Mapping[str, Any]], *, version: int, flat: bool = False) -> bytes:
    """The file's bytes. ``flat`` (operator style) and version 5 put the one module's keys at the top.

    Raises:
        MlfUsageError: more than one module in a flat file.
    """
    content: dict[str, Any] = {"version": version}
    if version == 5 or flat:
        if len(modules) != 1:
            raise failure(
                "mlf-bad-option",
                f"version {version} of the format holds one module",
                evidence=f"modules: {', '.join(modules)}",
                remedy="export-mlf --mlf-version 7",
            )
        content.update(next(iter(modules.values())))
        if version == 5:
            content["target"] = {str(DEVICE_CPU): content["target"][0]}
    else:
        content["modules"] = dict(modules)
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleMetadata:
    """One module's metadata, whatever version it was written as.

    Attributes:
        name: module name; of flat files the model's.
        sids: storage ids with sizes, as far as the file states them.
        main: entries of the main function, per device.
        operator_functions: entries of the kernels.
        operator_memory: of operator style: the function's tensors.
        turnkey: our extension; empty for tarballs of others.
        raw: the file's own keys, unknown ones included.
    """

    name: str
    model_name: str
    export_datetime: str
    style: str
    targets: tuple[str, ...]
    executors: tuple[str, ...]
    sids: tuple[Mapping[str, Any], ...] = ()
    main: tuple[Mapping[str, Any], ...] = ()
    operator_functions: tuple[Mapping[str, Any], ...] = ()
    operator_memory: Mapping[str, Any] = field(default_factory=dict)
    turnkey: Mapping[str, Any] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)


def parse(content: object, *, path: str) -> tuple[int, tuple[ModuleMetadata, ...]]:
    """Version and modules of a parsed ``metadata.json``.

    Raises:
        MlfArtifactError: an unknown version, or a key that is missing or of another kind, by its JSON path.
    """
    if not isinstance(content, dict):
        raise _wrong(path, "$", "an object", content)
    version = content.get("version")
    if not isinstance(version, int) or isinstance(version, bool) or version not in VERSIONS:
        raise failure(
            "mlf-bad-version",
            "this version of the Model Library Format is unknown",
            evidence=f"{path}: version {version!r}; known are 1 to 7",
            remedy="pip install --upgrade turnkey   # if the tarball is newer than this installation",
        )
    if "modules" not in content:
        return version, (_module(_flat_name(content.get("model_name"), path), content, path, "$"),)
    modules = content["modules"]
    if not isinstance(modules, dict) or not modules:
        raise _wrong(path, "$.modules", "an object with at least one module", modules)
    wrong = next((name for name in modules if not _MODULE_NAME.fullmatch(name)), None)
    if wrong is not None:  # names of files are made from it
        raise _wrong(path, "$.modules", "names of letters, digits and underscores", wrong)
    if len({name.lower() for name in modules}) < len(modules):
        raise _wrong(path, "$.modules", "names that differ without regard to case", sorted(modules))
    return version, tuple(_module(name, fields, path, f"$.modules.{name}") for name, fields in modules.items())


def _flat_name(model_name: object, path: str) -> str:
    """Flat files name no module: C names are made from the model's."""
    try:
        return module_name(str(model_name))
    except MlfUsageError as error:
        raise _wrong(path, "$.model_name", "a text with a letter or digit", model_name) from error


def _module(name: str, fields: object, path: str, where: str) -> ModuleMetadata:
    if not isinstance(fields, dict):
        raise _wrong(path, where, "an object", fields)
    texts = {key: fields.get(key) for key in ("model_name", "export_datetime")}
    for key, value in texts.items():
        if not isinstance(value, str):
            raise _wrong(path, f"{where}.{key}", "text", value)
    executors = fields.get("executors", fields.get("runtimes", []))
    if not isinstance(executors, list) or not all(isinstance(item, str) for item in executors):
        raise _wrong(path, f"{where}.executors", "a list of texts", executors)
    style = fields.get("style", "full-model")
    if style not in ("full-model", "operator"):
        raise _wrong(path, f"{where}.style", "full-model or operator", style)
    extension = fields.get("turnkey", {})
    wrong = misfit(extension, EXTENSION, f"{where}.turnkey")
    if wrong is not None:
        raise _wrong(path, *wrong)
    return ModuleMetadata(
        name=name or str(texts["model_name"]),
        model_name=str(texts["model_name"]),
        export_datetime=str(texts["export_datetime"]),
        style=style,
        targets=_targets(fields.get("target", []), path, where),
        executors=tuple(executors),
        turnkey=extension,
        raw=fields,
        **_memory(fields.get("memory", {}), style, path, f"{where}.memory"),
    )


def _targets(value: object, path: str, where: str) -> tuple[str, ...]:
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise _wrong(path, f"{where}.target", "a list or a map", value)
    return tuple(str(item) for item in value)


def _memory(memory: object, style: str, path: str, where: str) -> dict[str, Any]:
    """``memory`` in any of its forms: a list of sids, a map with ``functions``, ``main`` at the top, or operators."""
    if isinstance(memory, list):
        return {"sids": _objects(memory, SIDS, path, where)}
    if not isinstance(memory, dict):
        raise _wrong(path, where, "an object or a list", memory)
    if style == "operator":
        return {"operator_memory": memory}
    functions = memory.get("functions", memory)
    if not isinstance(functions, dict):
        raise _wrong(path, f"{where}.functions", "an object", functions)
    operators = functions.get("operator_functions", [])
    if isinstance(operators, dict):  # the page draws a map where the files have a list
        operators = [
            {"function_name": name, "workspace": value if isinstance(value, list) else [value]}
            for name, value in operators.items()
        ]
    return {
        "sids": _objects(memory.get("sids", []), SIDS, path, f"{where}.sids"),
        "main": _objects(functions.get("main", []), MAIN, path, f"{where}.functions.main"),
        "operator_functions": _objects(operators, OPERATORS, path, f"{where}.functions.operator_functions"),
    }


def _objects(value: object, kind: Kind, path: str, where: str) -> tuple[Mapping[str, Any], ...]:
    wrong = misfit(value, kind, where)
    if wrong is not None or not isinstance(value, list):
        raise _wrong(path, *(wrong or (where, "a list", value)))
    return tuple(value)


def _wrong(path: str, where: str, expected: str, found: object) -> MlfError:
    shown = repr(found)
    return failure(
        "mlf-bad-metadata",
        "metadata.json is not what the format says",
        evidence=f"{path}: {repr(where)[1:-1]}: expected {expected}, found {shown[:80]}",  # keys are a stranger's too
        remedy="export the model again, or fetch the tarball again",
    )
