"""Building a module on the host: units compiled by our own command line into a shared library, cached by content.

Building and then running a tarball runs its author's program. Only ``codegen/*/src/*`` is compiled; a Makefile of
the tarball is never called.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filelock import FileLock

from turnkey import settings
from turnkey.mlf import dtypes
from turnkey.mlf.failures import failure
from turnkey.mlf.library import Module
from turnkey.mlf.packed_files import packed_files
from turnkey.mlf.source_tree import source_tree
from turnkey.mlf.stack import CallGraph
from turnkey.mlf.toolchain import WARNINGS, Compiled, Compiler, compile_units, find_compiler

OPTIMIZATION = ("-O3", "-std=gnu99", "-fno-strict-aliasing")
SANITIZERS = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-fno-omit-frame-pointer", "-g")
WIDEST_VECTOR_BYTES = 64
_LIBRARY, _FACTS = "module.so", "facts.json"
_ALLOCATOR = "TVMBackendAllocWorkspace"
_FACTS_FORM = 3
"""Raised when the facts beside a cached library change, so that older ones are made again."""
_MACHINE_FLAGS = "-march=native"


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A compiled module.

    Attributes:
        library: the shared library.
        from_cache: no compiler was called.
        warnings, sections, symbols, call_graph: as `Compiled`, from when it was built.
    """

    library: Path
    compiler: Compiler
    flags: tuple[str, ...]
    from_cache: bool
    warnings: tuple[str, ...] = ()
    sections: Mapping[str, int] = field(default_factory=dict)
    symbols: tuple[str, ...] | None = None
    call_graph: CallGraph = field(default_factory=CallGraph)


def build(
    module: Module,
    *,
    cc: str | None = None,
    cflags: Sequence[str] | None = None,
    sanitize: bool = False,
    cache: Path | None = None,
) -> Build:
    """Compile a module, or take the library of an equal earlier build.

    Args:
        cflags: replace optimisation flags (``-O3 -march=native`` …); the others stay.
        cache: directory of built libraries; below the product's cache by default.

    Raises:
        MlfMissingDependencyError: no compiler.
        UnsupportedInModelLibraryFormatError: it does not compile; with the compiler's first lines.
        MlfArtifactError: the tarball has no C sources for this module.
    """
    compiler = find_compiler(cc)
    sources = module.sources()
    units = sorted(path for path in sources if "/src/" in path)
    objects = {} if units else _object_files(module)
    if not units and not objects:
        raise failure(
            "mlf-missing-part",
            f"the tarball has neither C sources nor objects for the module {module.name!r}",
            evidence=f"{len(module.library.files)} files, none under codegen/*/src or codegen/*/lib",
            remedy="export the model again",
        )
    _check_types(module, compiler)
    flags = (*_host_flags(compiler, cflags, module), *WARNINGS, *(SANITIZERS if sanitize else ()))
    extra = {**_further_files(module), **objects}
    files = {**{path: text.encode() for path, text in sources.items()}, **extra}
    key = _key(compiler, (*flags, *_graph_macro(module)), files)
    place = (cache or settings.cache_dir() / "mlf-builds") / key
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not (place / _FACTS).exists():
            _compile(module, compiler, flags, sources, extra, units, place, sanitize=sanitize)
            from_cache = False
        else:
            from_cache = True
    facts = json.loads((place / _FACTS).read_text())
    return Build(
        library=place / _LIBRARY,
        compiler=compiler,
        flags=flags,
        from_cache=from_cache,
        warnings=tuple(facts["warnings"]),
        sections=facts["sections"],
        symbols=None if facts["symbols"] is None else tuple(facts["symbols"]),
        call_graph=CallGraph(**facts["call_graph"]),
    )


def _check_types(module: Module, compiler: Compiler) -> None:
    """Refuse element types that this compiler has no C type for, and say which compiler would do."""
    table = module.metadata.turnkey.get("tensors", {})
    for name, fields in table.items():
        kind = dtypes.of_name(fields["dtype"])
        if compiler.name == "gcc" and compiler.major < kind.gcc:
            raise failure(
                "mlf-unsupported-dtype",
                f"{compiler.name} {compiler.version} has no C type for {kind.name}",
                evidence=f"tensor {name!r}",
                remedy=f"--cc gcc-{kind.gcc}   # the first gcc that has it",
            )


def _host_flags(compiler: Compiler, cflags: Sequence[str] | None, module: Module) -> tuple[str, ...]:
    if cflags is not None:
        return ("-std=gnu99", "-fno-strict-aliasing", *cflags)
    native = compiler.is_native and compiler.target.startswith(("x86_64", "aarch64"))
    # One rounding for a product and its sum: closer to the exact value, and what other runtimes do here too.
    flags = (*OPTIMIZATION, *((_MACHINE_FLAGS, "-ffp-contract=fast") if native else ()))
    return (*flags, *_vector_flags(compiler, int(module.abi.get("vector_bytes", WIDEST_VECTOR_BYTES))))


def _vector_flags(compiler: Compiler, vector_bytes: int) -> tuple[str, ...]:
    """No vector of the compiler's is wider than the tarball says; the widest needs no flag."""
    if vector_bytes >= WIDEST_VECTOR_BYTES:
        return ()
    if vector_bytes == 0:
        return ("-fno-tree-vectorize", "-fno-tree-slp-vectorize") if compiler.name == "gcc" else ("-fno-vectorize",)
    return (f"-mprefer-vector-width={8 * vector_bytes}",) if compiler.target.startswith("x86_64") else ()


def _graph_macro(module: Module) -> tuple[str, ...]:
    """Leaves out what only a graph executor calls; equal sources of another tarball may be wanted with it."""
    return () if "graph" in module.metadata.executors else ("-DTVMGEN_NO_GRAPH",)


def _further_files(module: Module) -> dict[str, bytes]:
    """Files that the units need beside them: runtime headers, and constants that the assembler includes."""
    files = module.library.archive.files
    return {
        path: content
        for path, content in files.items()
        if path.startswith("runtime/include/") or (path.startswith("codegen/host/src/") and path.endswith(".bin"))
    }


def _object_files(module: Module) -> dict[str, bytes]:
    """Compiled units, of a tarball without sources."""
    alone = len(module.library.modules) == 1
    return {
        path: content
        for path, content in module.library.archive.files.items()
        if re.fullmatch(r"codegen/[^/]+/lib/[^/]+\.o", path) and (alone or f"/{module.name}_lib" in path)
    }


def _key(compiler: Compiler, flags: Sequence[str], files: Mapping[str, bytes]) -> str:
    total = hashlib.sha256()
    identity = (_FACTS_FORM, compiler.name, compiler.version, compiler.target, tuple(flags), _processor())
    total.update(repr(identity).encode())
    for path in sorted(files):
        total.update(f"{path}:{len(files[path])}:".encode())
        total.update(files[path])
    return total.hexdigest()[:32]


def _processor() -> str:
    """Code for this processor must not be run on another one that shares the cache."""
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        return os.uname().machine
    return next((line for line in text.splitlines() if line.startswith(("flags", "Features"))), "")


def _compile(
    module: Module,
    compiler: Compiler,
    flags: Sequence[str],
    sources: Mapping[str, str],
    extra: Mapping[str, bytes],
    units: Sequence[str],
    place: Path,
    *,
    sanitize: bool,
) -> None:
    everything = {**{path: text.encode() for path, text in sources.items()}, **extra}
    with source_tree(everything, [module.name]) as (root, located):
        support = _runtime(root) if any(_ALLOCATOR in text for text in sources.values()) else []
        staged = Path(tempfile.mkdtemp(prefix=f".{place.name}.", dir=place.parent))
        try:
            made = compile_units(
                compiler,
                [root / unit for unit in units],
                staged / _LIBRARY,
                flags=(*flags, "-fPIC", *located, *_graph_macro(module)),
                link=("-shared", *(SANITIZERS if sanitize else ()), "-lm"),
                objects=sorted(root / path for path in extra if path.endswith(".o")),
                support=support,
            )
            (staged / _FACTS).write_text(json.dumps(_facts(made, str(root))))
            if place.exists():  # half of an older build: its facts are missing
                shutil.rmtree(place)
            os.replace(staged, place)
        except BaseException:
            shutil.rmtree(staged, ignore_errors=True)
            raise


def _runtime(root: Path) -> list[Path]:
    """Our own runtime beside the units, for code that takes scratch from the allocator pair."""
    place = root / "turnkey_runtime"
    place.mkdir()
    for path, content in packed_files().items():
        if path in ("runtime/include/turnkey_mlf.h", "runtime/src/turnkey_mlf.c"):
            (place / path.rpartition("/")[2]).write_bytes(content)
    return [place / "turnkey_mlf.c"]


def _facts(made: Compiled, directory: str) -> dict[str, object]:
    return {
        "warnings": [line.replace(f"{directory}/", "") for line in made.warnings],
        "sections": dict(made.sections),
        "symbols": made.symbols,
        "call_graph": dataclasses.asdict(made.call_graph),
    }
