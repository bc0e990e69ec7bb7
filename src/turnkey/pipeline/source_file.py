"""The source file of a build: its bytes as a digest, with those of the files that belong to it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from turnkey.file_digest import digest_of_files


def file_sha256(path: Path) -> str:
    """64 hex digits over the bytes of a file. Raises OSError if it cannot be read."""
    return digest_of_files([path]).sha256


def changed_files(recorded: dict[str, str]) -> tuple[str, ...]:
    """Which of these files (path to sha256) are missing or have other bytes now; sorted."""
    return tuple(sorted(path for path, digest in recorded.items() if _digest_or_none(path) != digest))


def digests(paths: Iterable[str | Path]) -> dict[str, str]:
    """sha256 by path, of those files that can be read."""
    found = {str(path): _digest_or_none(path) for path in paths}
    return {path: digest for path, digest in sorted(found.items()) if digest is not None}


def _digest_or_none(path: str | Path) -> str | None:
    try:
        return file_sha256(Path(path))
    except OSError:
        return None
