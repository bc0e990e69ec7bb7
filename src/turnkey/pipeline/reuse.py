"""What a tool made once need not be made again: its result, found by the content of everything that went into it.

``<build>/reuse/<tool>.yaml`` keeps, for each tool that says that it is `reusable`, its latest result: the state after
it, what it changed in the statistics, the digests of the files it wrote, and the *key*: SHA-256 over the tool, its
effective arguments, the input's bytes, the model and its weights, the captured inputs, the variants before it, the
seed and the versions of what computes (packages; the C compiler where a variant is C source). A later run whose key is
the same takes the result from there, and says so.

Not reused: ``discover``, which runs the user's program (it may read the clock, a network, other files), and what
measures, since a second measurement is a second look at a machine that has changed meanwhile.

A record is believed only after every file that it names was read and has its digest; a record that cannot be read, or
is of another version, is no hit. Format: ``reuse_version`` 1; unknown keys are refused.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import TurnkeyError
from turnkey.host import processor
from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.environment import versions
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.source_file import file_sha256
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import state_content, state_from
from turnkey.pipeline.statistics import now
from turnkey.version import __version__

if TYPE_CHECKING:
    from turnkey.model.samples import SampleSet

_VERSION = 1
_KEYS = {"reuse_version", "key", "time", "seconds", "conversions_before", "statistics", "removed", "files", "state"}
_TAKEN = (
    "expected_input_shapes",
    "expected_input_dtypes",
    "expected_output_names",
    "onnx_opset",
    "downcast_applied",
    "results",
    "variants",
    "verification",
    "chosen",
)
"""Of the state: what a reusable tool may change, and what its key is made of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reused:
    """A result of an earlier run.

    Attributes:
        state: as the tool would return it now.
        time: when it was made.
        seconds: what making it took.
    """

    state: State
    time: str
    seconds: float


def reuse_key(tool: str, arguments: Mapping[str, Any], state: State) -> str:
    """64 hex digits over all that decides what a reusable tool makes of a state."""
    content = {
        "tool": tool,
        "arguments": dict(arguments),
        "versions": {**versions(), "turnkey": __version__},
        "processor": processor(),  # what is optimised for one is not for another
        "compiler": _compiler(state),
        "seed": state.environment.get("seed", 0),
        "input": [state.input.get("sha256"), state.input.get("hash"), state.input.get("script_args")],
        "imported": sorted(dict(state.input.get("imported") or {}).items()),
        "model": [state.model_hash, state.weights_hash],
        "samples": _samples_digest(state),
        **{name: _fields(state, name) for name in _TAKEN},
    }
    return hashlib.sha256(json.dumps(plain(content), sort_keys=True).encode()).hexdigest()


def recall(name: str, key: str, state: State) -> Reused | None:
    """The earlier result of a tool under this key; None if there is none that still holds.

    Args:
        name: of the tool in its sequence.
        state: as it would enter the tool now.
    """
    paths = BuildPaths(state.cache_dir, state.build_name)
    path = _record(paths, name)
    if not path.is_file():
        return None
    try:
        document = plain_yaml.read(path)
        record = document.data
        if set(record) != _KEYS or record["reuse_version"] != _VERSION or record["key"] != key:
            return None
        if any(file_sha256(paths.directory / file) != digest for file, digest in record["files"].items()):
            return None
        then = state_from(replace(document, data=record["state"], lines={}), paths)
        statistics = {**state.statistics, **record["statistics"]}
        gone = set(record["removed"])
        made = then.conversions[int(record["conversions_before"]) :]
        seconds, time = float(record["seconds"]), str(record["time"])
    except (TurnkeyError, OSError, TypeError, ValueError, AttributeError):  # made again, which mends it
        return None
    taken = {field: getattr(then, field) for field in _TAKEN}
    found = replace(
        state,
        **taken,
        conversions=(*state.conversions, *made),
        statistics={name: value for name, value in statistics.items() if name not in gone},
    )
    return Reused(state=found, time=time, seconds=seconds)


def remember(name: str, key: str, before: State, after: State, *, seconds: float) -> None:
    """Keep what a tool has made of a state.

    Raises:
        InputError: the record cannot be written.
    """
    paths = BuildPaths(after.cache_dir, after.build_name)
    known = {variant.key: variant for variant in before.variants}
    new = [variant for variant in after.variants if known.get(variant.key) != variant]
    record = {
        "reuse_version": _VERSION,
        "key": key,
        "time": now(),
        "seconds": round(seconds, 6),
        "conversions_before": len(before.conversions),
        "statistics": {
            name: value
            for name, value in after.statistics.items()
            if name not in before.statistics or before.statistics[name] != value
        },
        "removed": [name for name in before.statistics if name not in after.statistics],
        "files": _digests(paths, new),
        "state": state_content(after),
    }
    path = _record(paths, name)
    durable.make_directory(path.parent)
    durable.write_text(path, plain_yaml.dump(plain(record)))


def _record(paths: BuildPaths, name: str) -> Path:
    return paths.directory / "reuse" / f"{name}.yaml"


def _digests(paths: BuildPaths, variants: Iterable[Variant]) -> dict[str, str]:
    """Digests of variants' files, with those that lie beside them under the same name: external data, weights."""
    found: dict[Path, str] = {}
    for variant in variants:
        path = paths.directory / variant.path
        beside = path.rglob("*") if path.is_dir() else path.parent.glob(f"{path.stem}*")
        files = [file for file in beside if file.is_file()]
        if files == [path] and variant.sha256:  # a file alone: its digest is that of the variant
            found[path] = variant.sha256
        found.update({file: file_sha256(file) for file in files if file not in found})
    return {paths.relative(file): digest for file, digest in sorted(found.items())}


def _fields(state: State, name: str) -> Any:
    value = getattr(state, name)
    return [asdict(variant) for variant in value] if name == "variants" else value


def _compiler(state: State) -> list[str]:
    """What compiles the variants that are C source; empty where there are none, or no compiler."""
    if all(variant.format != "mlf" for variant in state.variants):
        return []
    from turnkey.mlf.toolchain import find_compiler

    try:
        compiler = find_compiler()
    except TurnkeyError:  # the tool that needs it will say so
        return []
    return [*compiler.command, compiler.name, compiler.version, compiler.target]


def _samples_digest(state: State) -> str:
    """Over the captured inputs: those in memory, else the files of the build."""
    digest = hashlib.sha256()
    if state.model is None:
        directory = BuildPaths(state.cache_dir, state.build_name).samples
        for file in sorted(directory.iterdir()) if directory.is_dir() else ():
            digest.update(f"{file.name} {file_sha256(file)}\n".encode())
        return digest.hexdigest()
    for samples in (state.model.samples, *state.model.further_samples):
        _add(digest, samples)
    return digest.hexdigest()


def _add(digest: Any, samples: SampleSet) -> None:
    for sample in samples.inputs:
        for name, array in sample.items():
            digest.update(f"{name} {array.dtype} {array.shape}\n".encode())
            digest.update(array.tobytes())
    digest.update(b"end of a signature\n")
