"""Object files: the C units of a tarball compiled for the named target."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from turnkey.mlf.module_parts import ModuleParts
from turnkey.mlf.options import ExportOptions
from turnkey.mlf.toolchain import compile_object, find_compiler


def object_files(files: Mapping[str, bytes], parts: Sequence[ModuleParts], options: ExportOptions) -> dict[str, bytes]:
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
        shared = ("-fPIC",) if options.target == "host" else ()  # so that this host can load them, too
        flags = ("-std=gnu99", "-fno-strict-aliasing", *shared, *(options.cflags or ("-O2",)), *macros)
        includes = (f"-I{root}/codegen/host/include", f"-I{root}/runtime/include", f"-ffile-prefix-map={root}=.")
        for path in sorted(files):
            if path.startswith("codegen/host/src/") and path.endswith(".c"):
                target = root / f"{Path(path).stem}.o"
                compile_object(compiler, root / path, target, flags=(*flags, *includes))
                found[f"codegen/host/lib/{Path(path).stem}.o"] = target.read_bytes()
    return found
