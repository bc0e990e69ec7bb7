"""Files that every tarball carries: our mini runtime and the build templates."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path

from turnkey.mlf.codegen.header import Interface

_ROOT = Path(__file__).parent / "packed"


@functools.cache
def packed_files() -> Mapping[str, bytes]:
    """Content by path in the tarball."""
    return {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for path in sorted(_ROOT.rglob("*"))
        if path.is_file() and path.name != "main.c"
    }


def template_files(interfaces: Sequence[Interface], version: int) -> dict[str, bytes]:
    return {}
