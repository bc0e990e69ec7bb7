"""What names the bytes of a file, or of several that belong together."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

_BLOCK_BYTES = 1 << 20


class FileDigest(NamedTuple):
    """``sha256`` (64 hex digits) over the bytes of all files in order, and ``size_bytes`` of all of them."""

    sha256: str
    size_bytes: int


def digest_of_files(paths: Iterable[Path]) -> FileDigest:
    """Digest and size, read in blocks. Raises OSError if a file cannot be read."""
    digest, size_bytes = hashlib.sha256(), 0
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(_BLOCK_BYTES):
                digest.update(block)
                size_bytes += len(block)
    return FileDigest(digest.hexdigest(), size_bytes)
