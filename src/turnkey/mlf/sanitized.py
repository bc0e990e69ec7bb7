"""A run under address and undefined-behaviour sanitisers, in a process of its own.

The sanitised library cannot be loaded into this process, whose memory functions are already in use; the module's host
program is built with it instead and checks the samples.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.mlf.building import SANITIZERS
from turnkey.mlf.failures import failure
from turnkey.mlf.host_template import host_files
from turnkey.mlf.library import Module
from turnkey.mlf.merging import interface_of
from turnkey.mlf.source_tree import source_tree
from turnkey.mlf.toolchain import compile_units, find_compiler

if TYPE_CHECKING:
    import numpy as np

_SECONDS = 1800


def run_sanitized(module: Module, samples: Sequence[Mapping[str, np.ndarray]], *, cc: str | None = None) -> None:
    """Run samples through the module under the sanitisers.

    Raises:
        MlfVerificationError: they report a read or write out of bounds, or undefined behaviour.
        MlfMissingDependencyError, UnsupportedInModelLibraryFormatError: no compiler, or it does not compile.
    """
    compiler = find_compiler(cc)
    with source_tree(module.library.archive.files, [module.name]) as (root, located):
        interface = interface_of(module)
        (root / "main.c").write_bytes(host_files([interface])["templates/host/main.c"])
        units = sorted(root / path for path in module.sources() if "/src/" in path)
        flags = (
            *("-std=gnu99", "-O1", "-fno-strict-aliasing", "-DTVMGEN_NO_GRAPH", *SANITIZERS),
            "-fno-sanitize-address-use-after-scope",  # no kernel keeps an address; it takes the compiler long
            *located,
        )
        program = root / "program"
        compile_units(compiler, [*units, root / "main.c"], program, flags=flags, link=(*SANITIZERS, "-lm"))
        for number, sample in enumerate(samples):
            place = root / f"run{number}"
            place.mkdir()
            for index, tensor in enumerate(module.inputs):
                (place / f"in{index}.bin").write_bytes(sample[tensor.name].tobytes())
            _run(program, place, number)


def _run(program: Path, directory: Path, number: int) -> None:
    environment = {
        **os.environ,
        "ASAN_OPTIONS": "detect_leaks=0:abort_on_error=0",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }
    result = subprocess.run(
        [str(program)],
        cwd=directory,
        env=environment,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=_SECONDS,
        stdin=subprocess.DEVNULL,
    )
    if result.returncode != 0:
        found = [line.strip() for line in result.stderr.splitlines() if "ERROR" in line or "runtime error" in line]
        frames = [line.strip() for line in result.stderr.splitlines() if line.lstrip().startswith("#")][:4]
        raise failure(
            "mlf-overrun",
            "the sanitizers stopped the C code",
            evidence="\n".join((f"sample {number}", *(found or result.stderr.splitlines()[:3]), *frames)),
            remedy="do not use this tarball",
        )
