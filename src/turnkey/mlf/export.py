"""The export: models in, one tarball out; compiled, verified and packed, in this order, or nothing is written."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from turnkey.mlf import archive, metadata
from turnkey.mlf.archive import Archive
from turnkey.mlf.bare_metal import baremetal_files, first_sample
from turnkey.mlf.extension import extension
from turnkey.mlf.failures import failure
from turnkey.mlf.host_template import host_files
from turnkey.mlf.library import Library, from_archive
from turnkey.mlf.manifest import file_table
from turnkey.mlf.merging import with_joined_registry
from turnkey.mlf.module_parts import ModuleParts, make_parts
from turnkey.mlf.naming import module_name
from turnkey.mlf.objects import object_files
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.packed_files import packed_files
from turnkey.mlf.stages import Listener, Stages
from turnkey.mlf.trial import try_out
from turnkey.mlf.verification import Pair, Verified
from turnkey.settings import packing_time

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What an export made.

    Attributes:
        memory, plan: of the one module, or by module name where there are several.
        verify: of each module that was verified.
        seconds: by stage.
    """

    path: Path
    digest: str
    memory: Mapping[str, Any]
    plan: Mapping[str, Any]
    verify: Mapping[str, Verified]
    seconds: Mapping[str, float]
    library: Library = field(repr=False)

    def __str__(self) -> str:
        from turnkey.mlf.table import library_table

        return library_table(self.library)


@runtime_checkable
class BuildState(Protocol):
    """As much of a build's state as an export needs: the state itself belongs to a room above this one."""

    @property
    def build_dir(self) -> Path: ...

    @property
    def build_name(self) -> str: ...

    @property
    def variants(self) -> Sequence[Any]: ...


def export(
    source: str | Path | onnx.ModelProto | BuildState | Sequence[tuple[str, str | Path | onnx.ModelProto]],
    path: str | Path,
    *,
    name: str | None = None,
    options: ExportOptions | None = None,
    samples: Sequence[Pair] | int | None = None,
    listen: Listener | None = None,
    **arguments: Any,
) -> Exported:
    """Write a Model Library Format tarball.

    Args:
        source: an ONNX file, a loaded model, the state of a build (its newest ONNX file), or several as (name, model).
        name: of the model; the file's stem, or the build's name, by default.
        options: or the same as keyword arguments (`ExportOptions`).
        samples: inputs with the outputs that the source model gives, or how many to generate.
        listen: hears of each stage.

    Raises:
        InputError: the file cannot be read, or is no valid ONNX model.
        UnsupportedInModelLibraryFormatError, MlfUsageError, MlfMissingDependencyError, MlfVerificationError: nothing
            was written, and an older file at ``path`` is untouched.
    """
    if isinstance(samples, int):  # the option of that name
        arguments["samples"], samples = samples, None
    made = options or ExportOptions(**arguments)
    if options is not None and arguments:
        made = replace(options, **arguments)
    stages = Stages(listen)
    models = _named(source, name)
    stages.done("load", ", ".join(label for label, _ in models))
    parts = [make_parts(model, model_name=label, options=made, stages=stages) for label, model in models]
    timestamp = int(packing_time())
    extensions = {part.name: {**extension(part), **made.recorded.get(part.name, {})} for part in parts}
    files = _all_files(parts, made)
    verified: dict[str, Verified] = {}
    if made.compile and "aot" in made.executors:
        for part in parts:
            draft = _library(parts, files, extensions, made, timestamp, Path(path))
            trial = try_out(draft.module(part.name), part, made, samples, stages)
            extensions[part.name].update(trial.facts)
            for kernel in extensions[part.name]["kernels"]:
                if kernel["function_name"] in trial.kernel_stacks:
                    kernel["stack_bytes"] = trial.kernel_stacks[kernel["function_name"]]
            files.update(trial.samples)
            if trial.verified is not None:
                verified[part.name] = trial.verified
    if "aot" in made.executors:
        first, *others = (part.sources.interface for part in parts)
        files.update(baremetal_files(first, first_sample(files, first.module), others=others))
    if made.objects:
        files.update(object_files(files, parts, made))
    for part in parts:
        extensions[part.name]["files"] = file_table(files, part.name, [other.name for other in parts])
    library = _library(parts, files, extensions, made, timestamp, Path(path))
    content = archive.pack(library.archive.files, timestamp=timestamp)
    archive.write_atomically(Path(path), content)
    stages.done("wrote", f"{path}  {len(content)} B  digest {library.digest[:16]}")
    memories = {part.name: part.memory(made.style) for part in parts}
    plans = {part.name: extensions[part.name]["plan"] for part in parts}
    alone = len(parts) == 1
    return Exported(
        path=Path(path),
        digest=library.digest,
        memory=memories[parts[0].name] if alone else memories,
        plan=plans[parts[0].name] if alone else plans,
        verify=verified,
        seconds=stages.seconds,
        library=library,
    )


def _named(
    source: str | Path | onnx.ModelProto | BuildState | Sequence[tuple[str, str | Path | onnx.ModelProto]],
    name: str | None,
) -> list[tuple[str, onnx.ModelProto]]:
    import onnx

    from turnkey.formats.onnx_file import load_model  # with onnx: only where there is a model

    if isinstance(source, onnx.ModelProto):
        found = [(name or source.graph.name or "model", source)]
    elif isinstance(source, (str, Path)):
        found = [(name or Path(source).stem, load_model(Path(source)))]
    elif isinstance(source, BuildState):
        found = [(name or source.build_name, load_model(_newest_onnx(source)))]
    else:
        found = [(label, m if isinstance(m, onnx.ModelProto) else load_model(Path(m))) for label, m in source]
    labels: dict[str, str] = {}
    for label, _ in found:
        if module_name(label) in labels:
            raise failure(
                "mlf-duplicate-module",
                "Multiple modules should have unique names.",
                evidence=f"{labels[module_name(label)]!r} and {label!r} both become {module_name(label)!r}",
                remedy="give each model another --name",
            )
        labels[module_name(label)] = label
    return found


def _newest_onnx(state: BuildState) -> Path:
    for variant in reversed(state.variants):
        if str(variant.path).endswith(".onnx"):
            return state.build_dir / str(variant.path)
    raise failure(
        "mlf-bad-option",
        f"the build {state.build_name} has no ONNX file",
        evidence=f"variants: {', '.join(str(variant.key) for variant in state.variants) or 'none'}",
        remedy="run export-pytorch first",
    )


def _all_files(parts: Sequence[ModuleParts], options: ExportOptions) -> dict[str, bytes]:
    """Files of all modules; what only a tarball of one module has at a shared path is left out for several."""
    if len(parts) > 1 and options.version == 5:
        metadata.metadata_text({part.name: {} for part in parts}, version=5)
    files: dict[str, bytes] = dict(packed_files())
    for part in parts:
        for path, content in part.files.items():
            if len(parts) == 1 or path not in ("executor-config/graph/graph.json", "src/relay.txt"):
                files[path] = content
    if len(parts) > 1:
        files = with_joined_registry(files, [name for part in parts for name in part.sources.functions])
    if "aot" in options.executors:
        files.update(host_files([part.sources.interface for part in parts]))
    return files


def _library(
    parts: Sequence[ModuleParts],
    files: Mapping[str, bytes],
    extensions: Mapping[str, Mapping[str, Any]],
    options: ExportOptions,
    timestamp: int,
    path: Path,
) -> Library:
    modules = {
        part.name: metadata.module_metadata(
            model_name=part.model_name,
            timestamp=timestamp,
            style=options.style,
            target=options.target_text,
            executors=options.executors,
            memory=part.memory(options.style),
            turnkey=extensions[part.name],
        )
        for part in parts
    }
    text = metadata.metadata_text(modules, version=options.version, flat=options.style == "operator")
    return from_archive(Archive(path, {**files, "metadata.json": text}))
