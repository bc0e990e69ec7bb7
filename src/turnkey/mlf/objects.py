"""Object files: the C units of a tarball compiled for the named target."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from turnkey.mlf.module_parts import ModuleParts
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.source_tree import source_tree
from turnkey.mlf.toolchain import compile_object, find_compiler


def object_files(files: Mapping[str, bytes], parts: Sequence[ModuleParts], options: ExportOptions) -> dict[str, bytes]:
    """The units compiled for the named target."""
    compiler = find_compiler(options.cc)
    found = {}
    with source_tree(files, [part.name for part in parts]) as (root, located):
        shared = ("-fPIC",) if options.target == "host" else ()  # so that this host can load them, too
        flags = ("-std=gnu99", "-fno-strict-aliasing", *shared, *(options.cflags or ("-O2",)), *located)
        for path in sorted(files):
            if path.startswith("codegen/host/src/") and path.endswith(".c"):
                target = root / f"{Path(path).stem}.o"
                compile_object(compiler, root / path, target, flags=(*flags, f"-ffile-prefix-map={root}=."))
                found[f"codegen/host/lib/{Path(path).stem}.o"] = target.read_bytes()
    return found
