"""The export: models in, one tarball out; compiled, verified and packed, in this order, or nothing is written."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.mlf import archive, metadata
from turnkey.mlf.archive import Archive
from turnkey.mlf.building import Build, build
from turnkey.mlf.failures import failure
from turnkey.mlf.library import Library, from_archive
from turnkey.mlf.merging import with_joined_registry
from turnkey.mlf.module_parts import ModuleParts, make_parts
from turnkey.mlf.naming import module_name
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.prepare import load as load_model
from turnkey.mlf.reference import reference_of
from turnkey.mlf.runner import ModuleRunner
from turnkey.mlf.sampling import index_limits, make_samples
from turnkey.mlf.stack import worst_case_stack
from turnkey.mlf.templates import baremetal_files, host_files, packed_files
from turnkey.mlf.toolchain import compile_object, find_compiler
from turnkey.mlf.verification import Pair, Verified, verify

if TYPE_CHECKING:
    import numpy as np
    import onnx

STORED_SAMPLES_BYTES = 1 << 20

Listener = Callable[[str, str, float], None]
"""Told (stage, what it found, seconds) as each stage ends."""


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


def export(
    source: str | Path | onnx.ModelProto | Sequence[tuple[str, str | Path | onnx.ModelProto]],
    path: str | Path,
    *,
    name: str | None = None,
    options: ExportOptions | None = None,
    samples: Sequence[Pair] | None = None,
    listen: Listener | None = None,
    **arguments: Any,
) -> Exported:
    """Write a Model Library Format tarball.

    Args:
        source: an ONNX file, a loaded model, or several as (name, model).
        name: of the model; the file's stem by default.
        options: or the same as keyword arguments (`ExportOptions`).
        samples: inputs with the outputs that the source model gives; generated ones by default.
        listen: hears of each stage.

    Raises:
        UnsupportedInModelLibraryFormatError, MlfUsageError, MlfMissingDependencyError, MlfVerificationError: nothing
            was written, and an older file at ``path`` is untouched.
    """
    made = options or ExportOptions(**arguments)
    if options is not None and arguments:
        made = replace(options, **arguments)
    stage = _Stages(listen)
    models = _named(source, name)
    parts = [make_parts(model, model_name=label, options=made) for label, model in models]
    for part in parts:
        stage.done("lower", _lowered_text(part))
        stage.done("plan", _planned_text(part))
    timestamp = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    extensions = {part.name: part.extension() for part in parts}
    files = _all_files(parts, made)
    verified: dict[str, Verified] = {}
    if made.compile and "aot" in made.executors:
        for part in parts:
            draft = _library(parts, files, extensions, made, timestamp, Path(path))
            checked = _check(draft, part, made, samples, stage)
            extensions[part.name].update(checked.facts)
            files.update(checked.samples)
            if checked.verified is not None:
                verified[part.name] = checked.verified
    if "aot" in made.executors:
        files.update(baremetal_files(parts[0].sources.interface, _first_sample(files, parts[0].name)))
    if made.objects:
        files.update(_objects(files, parts, made))
    for part in parts:
        extensions[part.name]["files"] = _file_table(files, part.name, [other.name for other in parts])
    library = _library(parts, files, extensions, made, timestamp, Path(path))
    content = archive.pack(library.archive.files, timestamp=timestamp)
    archive.write_atomically(Path(path), content)
    stage.done("wrote", f"{path}  {len(content)} B  digest {library.digest[:16]}")
    memories = {part.name: part.memory(made.style) for part in parts}
    plans = {part.name: extensions[part.name]["plan"] for part in parts}
    alone = len(parts) == 1
    return Exported(
        path=Path(path),
        digest=library.digest,
        memory=memories[parts[0].name] if alone else memories,
        plan=plans[parts[0].name] if alone else plans,
        verify=verified,
        seconds=stage.seconds,
        library=library,
    )


class _Stages:
    """Time since the last stage, told to the listener and kept."""

    def __init__(self, listen: Listener | None) -> None:
        self._listen = listen
        self._last = time.perf_counter()
        self.seconds: dict[str, float] = {}

    def done(self, stage: str, text: str) -> None:
        now = time.perf_counter()
        self.seconds[stage] = self.seconds.get(stage, 0.0) + now - self._last
        if self._listen is not None:
            self._listen(stage, text, now - self._last)
        self._last = now


def _named(
    source: str | Path | onnx.ModelProto | Sequence[tuple[str, str | Path | onnx.ModelProto]], name: str | None
) -> list[tuple[str, onnx.ModelProto]]:
    import onnx

    if isinstance(source, onnx.ModelProto):
        found = [(name or source.graph.name or "model", source)]
    elif isinstance(source, (str, Path)):
        found = [(name or Path(source).stem, load_model(Path(source)))]
    else:
        found = [(label, load_model(Path(m) if isinstance(m, str) else m)) for label, m in source]
    seen: dict[str, str] = {}
    for label, _ in found:
        if seen.setdefault(module_name(label), label) is not label or (
            [module_name(other) for other, _ in found].count(module_name(label)) > 1
        ):
            raise failure(
                "mlf-duplicate-module",
                "Multiple modules should have unique names.",
                evidence=f"{label!r} and another both become {module_name(label)!r}",
                remedy="give each model another --name",
            )
    return found


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checked:
    facts: Mapping[str, Any]
    samples: Mapping[str, bytes]
    verified: Verified | None


def _check(
    library: Library, part: ModuleParts, options: ExportOptions, samples: Sequence[Pair] | None, stage: _Stages
) -> _Checked:
    """Compile one module and run it."""
    module = library.module(part.name)
    made = build(module, cc=options.cc, cflags=options.cflags)
    facts = _compiler_facts(made, part)
    stage.done("compile", _compiled_text(made))
    stack = facts.get("stack", {}).get("static_bytes")
    if options.max_stack is not None and stack is not None and stack > options.max_stack:
        deepest = max(made.stack_bytes, key=lambda name: made.stack_bytes[name])
        raise failure(
            "mlf-over-budget",
            f"the stack needs {stack} bytes, {stack - options.max_stack} more than allowed",
            evidence=f"largest frame: {deepest}, {made.stack_bytes[deepest]} bytes",
            remedy="a larger --max-stack",
        )
    if not options.verify:
        return _Checked(facts=facts, samples={}, verified=None)
    pairs, name, version = _pairs(part, options, samples)
    runner = ModuleRunner(module, made)
    verified = verify(runner, pairs, reference=name, reference_version=version)
    facts = {**facts, "verify": verified.to_dict(), "high_water_bytes": verified.high_water_bytes}
    if options.sanitize:
        from turnkey.mlf.sanitized import run_sanitized

        run_sanitized(module, [sample for sample, _ in pairs], cc=options.cc)
    stage.done(
        "verify",
        f"{verified.samples} samples, {name} {version}: max abs {verified.max_abs:.1e}, "
        f"max rel {verified.max_rel:.1e}   ok" + ("; sanitizers clean" if options.sanitize else ""),
    )
    return _Checked(facts=facts, samples=_stored(part, pairs), verified=verified)


def _pairs(
    part: ModuleParts, options: ExportOptions, samples: Sequence[Pair] | None
) -> tuple[Sequence[Pair], str, str]:
    if samples:
        return samples[: options.samples], "source model", ""
    reference = reference_of(part.model)
    inputs = [part.program.tensors[name] for name in part.program.inputs]
    shapes = {name: tensor.shape for name, tensor in part.prepared.tensors.items()}
    made = make_samples(inputs, count=options.samples, limits=index_limits(part.prepared.model, shapes))
    return [(sample, reference.run(sample)) for sample in made], reference.name, reference.version


def _stored(part: ModuleParts, pairs: Sequence[Pair]) -> dict[str, bytes]:
    """Samples as raw files, as many as fit the limit."""
    files: dict[str, bytes] = {}
    total = 0
    for number, (sample, expected) in enumerate(pairs):
        arrays: list[tuple[str, np.ndarray]] = []
        arrays += [(f"in{i}", sample[name]) for i, name in enumerate(part.program.inputs)]
        arrays += [(f"out{i}", expected[name]) for i, name in enumerate(part.program.outputs)]
        total += sum(array.nbytes for _, array in arrays)
        if total > STORED_SAMPLES_BYTES:
            break
        files.update({f"samples/{part.name}/{number}/{leaf}.bin": array.tobytes() for leaf, array in arrays})
    return files


def _first_sample(files: Mapping[str, bytes], module: str) -> dict[str, bytes]:
    """``in<i>`` and ``out<i>`` of the first stored sample; empty if none is stored."""
    base = f"samples/{module}/0/"
    return {path[len(base) : -4]: content for path, content in files.items() if path.startswith(base)}


def _compiler_facts(made: Build, part: ModuleParts) -> dict[str, Any]:
    compiler = made.compiler
    facts: dict[str, Any] = {
        "compiler": {
            "name": compiler.name,
            "version": compiler.version,
            "target": compiler.target,
            "flags": list(made.flags),
            "warnings": len(made.warnings),
        },
    }
    if made.sections:
        facts["sections"] = dict(made.sections)
    stack = worst_case_stack(made.stack_bytes, part)
    if stack is not None:
        facts["stack"] = {"static_bytes": stack}
    return facts


def _objects(files: Mapping[str, bytes], parts: Sequence[ModuleParts], options: ExportOptions) -> dict[str, bytes]:
    """The units compiled for the named target."""
    compiler = find_compiler(options.cc)
    found = {}
    with tempfile.TemporaryDirectory(prefix="turnkey-mlf-") as directory:
        root = Path(directory)
        for path, content in files.items():
            if path.startswith(("codegen/", "runtime/include/")):
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                (root / path).write_bytes(content)
        macros = [
            f'-DTVMGEN_{part.name.upper()}_CONSTANTS_FILE="{root}/codegen/host/src/{part.name}_constants.bin"'
            for part in parts
        ]
        flags = ("-std=gnu99", "-fno-strict-aliasing", *(options.cflags or ("-O2",)), *macros)
        includes = (f"-I{root}/codegen/host/include", f"-I{root}/runtime/include", f"-ffile-prefix-map={root}=.")
        for path in sorted(files):
            if path.startswith("codegen/host/src/") and path.endswith(".c"):
                target = root / f"{Path(path).stem}.o"
                compile_object(compiler, root / path, target, flags=(*flags, *includes))
                found[f"codegen/host/lib/{Path(path).stem}.o"] = target.read_bytes()
    return found


def _file_table(files: Mapping[str, bytes], module: str, modules: Sequence[str]) -> dict[str, dict[str, str]]:
    """Role and SHA-256 of the files that belong to one module; shared files belong to the first."""
    others = [name for name in modules if name != module]
    table = {}
    for path, content in sorted(files.items()):
        foreign = any(
            path.rpartition("/")[2].startswith((f"{name}_lib", f"{name}.", f"tvmgen_{name}.", f"{name}_constants"))
            or path.startswith(f"samples/{name}/")
            for name in others
        )
        if not foreign and (
            path.startswith(("codegen", "executor", "param", "src", "samples")) or module == modules[0]
        ):
            table[path] = {"role": _role(path), "sha256": sha256(content).hexdigest()}
    return table


def _role(path: str) -> str:
    roles = {
        "codegen/host/include": "header",
        "codegen/host/src": "source",
        "codegen/host/lib": "object",
        "executor-config": "graph",
        "parameters": "parameters",
        "src": "model",
        "samples": "sample",
        "runtime": "runtime",
        "templates": "template",
    }
    return next((role for prefix, role in roles.items() if path.startswith(prefix)), "other")


def _lowered_text(part: ModuleParts) -> str:
    kernels = part.program.kernels()
    generated = sum(kernel.kind == "generated" for kernel in kernels)
    return (
        f"{len(part.prepared.model.graph.node)} nodes -> {len(part.layout.called)} calls -> {len(kernels)} kernels "
        f"({len(kernels) - generated} templates, {generated} generated)"
    )


def _planned_text(part: ModuleParts) -> str:
    plan = part.layout.plan
    verdict = (
        "= lower bound, proven"
        if plan.workspace == plan.lower_bound
        else (f"{plan.gap:.1%} above the lower bound {plan.lower_bound}" + (", proven least" if plan.proven else ""))
    )
    return f"{plan.workspace} B {verdict} ({plan.algorithm})"


def _compiled_text(made: Build) -> str:
    warnings = f"{len(made.warnings)} warnings" if made.warnings else "no warnings"
    cached = ", from the cache" if made.from_cache else ""
    return f"{made.compiler.name} {made.compiler.version} {made.flags[0]}, {warnings}{cached}"
