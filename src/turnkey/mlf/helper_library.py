"""Small C programs of ours around a module's code, compiled into a shared library once for each compiler."""

from __future__ import annotations

import ctypes
import hashlib
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock

from turnkey import settings
from turnkey.mlf.toolchain import Compiler, compile_units


def helper_library(
    name: str, source: str, compiler: Compiler, *, flags: Sequence[str], link: Sequence[str] = ()
) -> ctypes.CDLL:
    """The library of one C text; of several processes that want it, one compiles.

    Args:
        flags, link: beyond those that a shared library needs.

    Raises:
        UnsupportedInModelLibraryFormatError: it does not compile.
    """
    identity = (source, compiler.name, compiler.version, compiler.target, *flags, *link)
    key = hashlib.sha256(repr(identity).encode()).hexdigest()[:32]
    place = settings.cache_dir() / "mlf-builds" / f"{name}-{key}.so"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        if not place.exists():
            with tempfile.TemporaryDirectory(prefix="turnkey-mlf-", dir=place.parent) as directory:
                written, staged = Path(directory) / f"{name}.c", Path(directory) / f"{name}.so"
                written.write_text(source)
                compile_flags = ("-std=gnu99", "-fPIC", *flags)
                compile_units(compiler, [written], staged, flags=compile_flags, link=("-shared", *link))
                os.replace(staged, place)
    return ctypes.CDLL(str(place))
