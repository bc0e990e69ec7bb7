"""What every tarball carries as it is: the mini runtime and fixed templates, files of ours beside this module."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

_ROOT = Path(__file__).parent / "packed"
_TO_BE_FILLED = ".in"


@functools.cache
def packed_files() -> Mapping[str, bytes]:
    """Content by path."""
    return {
        path.relative_to(_ROOT).as_posix(): path.read_bytes()
        for path in sorted(_ROOT.rglob("*"))
        if path.is_file() and path.suffix != _TO_BE_FILLED
    }


def text_to_fill(path: str) -> str:
    """A text that lies among them and whose ``@places@`` are filled for each tarball."""
    return (_ROOT / f"{path}{_TO_BE_FILLED}").read_text()
