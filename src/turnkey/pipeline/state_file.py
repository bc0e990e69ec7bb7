"""The state file of a build, ``<build>_state.yaml``: what a state knows, as plain YAML that a person can read.

Format, ``state_version`` 1. Keys: those of `_FIELDS` below, all optional but ``state_version`` and ``build_name``; any
other key is refused with its line. Paths are relative to the build directory, so that a moved cache works. Forbidden:
a ``build_name`` that is not the directory's, a path that leaves the directory, more than 16 MiB, tags, anchors.

    state_version: 1
    turnkey_version: 0.1.0
    build_name: linear
    build_status: successful
    input: {path: /home/me/linear.py, sha256: 9f…, hash: null, script_args: '', imported: {}}
    sequence:
    - [discover, {}, successful]
    - [export-pytorch, {opset: 20}, successful]
    results: onnx
    variants:
    - {key: onnx, format: onnx, path: onnx/linear-op20-base.onnx, sha256: 4e…, lineage: [], exporter: dynamo, …}

The live model is never written; a state that was read has ``model`` None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, replace
from pathlib import Path, PurePosixPath
from typing import Any

from turnkey.errors import ArtifactError, InputError
from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import settled
from turnkey.pipeline.build_name import check_name
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.plain_yaml import Document
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.statistics import read_statistics
from turnkey.settings import absolute_path
from turnkey.version import __version__

STATE_VERSION = 1

STATUSES = ("successful", "error", "timeout", "killed", "not_started", "incomplete", "skipped")

_MIGRATIONS: Mapping[int, Callable[[dict[str, Any]], dict[str, Any]]] = {}
"""From each older version to the next one. Version 1 is the first."""

_TEXT, _OPTIONAL_TEXT, _MAPPING, _LIST, _FLAG, _NUMBER = "text", "text or nothing", "mapping", "list", "flag", "number"

_FIELDS: Mapping[str, str] = {
    "state_version": _NUMBER,
    "turnkey_version": _TEXT,
    "uid": _TEXT,
    "build_name": _TEXT,
    "build_status": _TEXT,
    "input": _MAPPING,
    "labels": _MAPPING,
    "sequence": _LIST,
    "model_hash": _TEXT,
    "weights_hash": _TEXT,
    "expected_input_shapes": _MAPPING,
    "expected_input_dtypes": _MAPPING,
    "expected_output_names": _LIST,
    "onnx_opset": "number or nothing",
    "downcast_applied": _FLAG,
    "results": _OPTIONAL_TEXT,
    "variants": _LIST,
    "conversions": _LIST,
    "samples": _OPTIONAL_TEXT,
    "verification": _LIST,
    "measurements": _LIST,
    "chosen": _OPTIONAL_TEXT,
    "history": _LIST,
    "environment": _MAPPING,
}

_KINDS: Mapping[str, tuple[type, ...]] = {
    _TEXT: (str,),
    _OPTIONAL_TEXT: (str, type(None)),
    _MAPPING: (dict,),
    _LIST: (list,),
    _FLAG: (bool,),
    _NUMBER: (int,),
    "number or nothing": (int, type(None)),
}

_VARIANT_KEYS = {field.name for field in fields(Variant)}
_INPUT_KEYS = {"path", "sha256", "hash", "script_args", "imported"}


def write_state(state: State) -> None:
    """Write the state file, atomically; statistics have their own file.

    Raises:
        InputError: it cannot be written.
    """
    durable.write_text(
        BuildPaths(state.cache_dir, state.build_name).state, plain_yaml.dump(plain(state_content(state)))
    )


def state_content(state: State) -> dict[str, Any]:
    """What the state file says of a state, by key; without its statistics."""
    paths = BuildPaths(state.cache_dir, state.build_name)
    content: dict[str, Any] = {"state_version": STATE_VERSION, "turnkey_version": __version__}
    for name in _FIELDS:
        if name == "samples":
            content[name] = paths.relative(paths.samples) if paths.samples.is_dir() else None
        elif name == "variants":
            content[name] = [asdict(variant) for variant in state.variants]
        elif name not in content:
            content[name] = getattr(state, name)
    return content


def state_from(document: Document, paths: BuildPaths) -> State:
    """The state that a document describes, everything in it checked, without statistics.

    Raises:
        ArtifactError: it is corrupt, hostile, of a newer version, or of another build.
    """
    return _state_of(_current(document), paths)


def load_state(
    cache_dir: str | Path | None = None, build_name: str | None = None, *, state_path: str | Path | None = None
) -> State:
    """Read a build's state and statistics: by cache and name, or by the path of its state file.

    A status of ``incomplete`` that nobody works on is read as ``killed``.

    Raises:
        InputError: there is no such file.
        ArtifactError: the file is corrupt, hostile, or of a newer version.
        TypeError: neither a path nor cache and name were given.
    """
    if state_path is not None:
        path = absolute_path(state_path)
    elif cache_dir is not None and build_name is not None:
        check_name(build_name)
        path = BuildPaths(absolute_path(cache_dir), build_name).state
    else:
        raise TypeError("load_state() needs state_path=, or cache_dir and build_name")
    paths = BuildPaths(path.parent.parent, path.parent.name)
    if not path.is_file():
        raise InputError("there is no such build", evidence=str(path), remedy="turnkey cache --list --all")
    state = state_from(plain_yaml.read(path), paths)
    return replace(state, build_status=settled(state.build_status, paths), statistics=read_statistics(paths))


def _current(document: Document) -> Document:
    """The document in the newest version of the format."""
    version = document.data.get("state_version")
    if not isinstance(version, int) or isinstance(version, bool):
        raise document.error("the state file does not say its version", "state_version")
    if version > STATE_VERSION:
        raise document.error(
            f"the state file has version {version}; this Turnkey reads up to {STATE_VERSION}",
            "state_version",
            remedy=f"install the Turnkey that wrote it, {document.data.get('turnkey_version', '?')}, or a newer one",
        )
    data = document.data
    while version < STATE_VERSION:
        if version not in _MIGRATIONS:
            raise document.error(f"there is no version {version} of the state file", "state_version")
        data = _MIGRATIONS[version](data)
        version += 1
    return replace(document, data=data)


def _state_of(document: Document, paths: BuildPaths) -> State:
    data = document.data
    for key, value in data.items():
        kind = _FIELDS.get(key)
        if kind is None:
            raise document.error(f"unknown key {key!r} in the state file", key)
        if not isinstance(value, _KINDS[kind]) or (isinstance(value, bool) and kind != _FLAG):
            raise document.error(f"{key} in the state file must be a {kind}", key)
    if data.get("build_name") != paths.build_name:
        raise document.error(
            f"the state file says build {data.get('build_name')!r} and lies in {paths.build_name!r}", "build_name"
        )
    check_name(paths.build_name)
    if data.get("build_status", "not_started") not in STATUSES:
        raise document.error(f"{data['build_status']!r} is not a status", "build_status")
    unknown = sorted(set(data.get("input", {})) - _INPUT_KEYS)
    if unknown:
        raise document.error(f"unknown key {unknown[0]!r} in the state file", "input", unknown[0])
    _check_path(document, paths, data.get("samples"), "samples")
    _check_records(document, paths)
    try:
        return State(
            cache_dir=paths.cache_dir,
            variants=tuple(_variant(document, paths, index) for index in range(len(data.get("variants", [])))),
            sequence=tuple(_step(document, index) for index in range(len(data.get("sequence", [])))),
            labels={key: tuple(str(value) for value in values) for key, values in data.get("labels", {}).items()},
            expected_input_shapes={key: tuple(value) for key, value in data.get("expected_input_shapes", {}).items()},
            expected_output_names=tuple(data.get("expected_output_names", [])),
            conversions=tuple(data.get("conversions", [])),
            verification=tuple(data.get("verification", [])),
            measurements=tuple(data.get("measurements", [])),
            history=tuple(data.get("history", [])),
            **{key: data[key] for key in _AS_THEY_ARE if key in data},
        )
    except (TypeError, ValueError) as error:
        raise document.error(f"a value of the state file has the wrong form: {error}") from error


_AS_THEY_ARE = (
    "build_name",
    "build_status",
    "uid",
    "input",
    "model_hash",
    "weights_hash",
    "expected_input_dtypes",
    "onnx_opset",
    "downcast_applied",
    "results",
    "chosen",
    "environment",
)


def _variant(document: Document, paths: BuildPaths, index: int) -> Variant:
    item = document.data["variants"][index]
    if not isinstance(item, dict) or not {"key", "format", "path", "sha256"} <= set(item):
        raise document.error("a variant needs key, format, path and sha256", "variants", index)
    for key, value in item.items():
        if key not in _VARIANT_KEYS:
            raise document.error(f"unknown key {key!r} in a variant", "variants", index, key)
        expected = list if key in ("lineage", "notes") else int if key == "size_bytes" else str
        if not isinstance(value, expected):
            raise document.error(f"{key} of a variant must be a {expected.__name__}", "variants", index, key)
    _check_path(document, paths, item["path"], "variants", index, "path")
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in item.items()}
    return Variant(**values)


def _step(document: Document, index: int) -> tuple[str, Mapping[str, Any], str]:
    item = document.data["sequence"][index]
    if not (
        isinstance(item, list)
        and len(item) == 3
        and isinstance(item[0], str)
        and isinstance(item[1], dict)
        and item[2] in STATUSES
    ):
        raise document.error("a step of the sequence must be [tool, arguments, status]", "sequence", index)
    return item[0], item[1], item[2]


def _check_records(document: Document, paths: BuildPaths) -> None:
    for name in ("measurements", "verification", "conversions", "history"):
        for index, item in enumerate(document.data.get(name, [])):
            if not isinstance(item, dict):
                raise document.error(f"an entry of {name} must be a mapping", name, index)
            for key in ("record", "path", "log"):
                if isinstance(item.get(key), str):
                    _check_path(document, paths, item[key], name, index, key)


def _check_path(document: Document, paths: BuildPaths, text: object, *place: str | int) -> None:
    """Refuse a path that is absolute or leaves the build directory, also through a link."""
    if text is None or text == "":
        return
    path = PurePosixPath(str(text))
    inside = (
        not path.is_absolute()
        and ".." not in path.parts
        and "\\" not in str(text)
        and "\0" not in str(text)
        and (paths.directory / path).resolve().is_relative_to(paths.directory.resolve())
    )
    if not inside:
        raise document.error(f"the path {str(text)!r} leaves the build directory", *place)


__all__ = ["STATE_VERSION", "STATUSES", "ArtifactError", "load_state", "state_content", "state_from", "write_state"]
