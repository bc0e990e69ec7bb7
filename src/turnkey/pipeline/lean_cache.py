"""What stays of a build when artifacts are not worth their space: what people read, and the measurement records."""

from __future__ import annotations

import os
from pathlib import Path

from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths

KEPT_SUFFIXES = frozenset({".txt", ".out", ".json", ".yaml"})


def remove_artifacts(paths: BuildPaths) -> int:
    """Delete everything of a build but logs, ``.json``, ``.yaml``, ``.out``, records and our markers.

    Links are deleted, never followed. Only for who holds the build's lock.

    Returns:
        How many bytes were freed.

    Raises:
        InputError: a file cannot be deleted.
    """
    freed = 0
    try:
        for folder, directories, files in os.walk(paths.directory, topdown=False):
            for name in files:
                file = Path(folder) / name
                if not _is_kept(file, paths):
                    freed += file.lstat().st_size
                    file.unlink()
            for name in directories:
                directory = Path(folder) / name
                if directory.is_symlink():
                    directory.unlink()
                elif not any(directory.iterdir()):
                    directory.rmdir()
    except OSError as error:
        raise durable.cannot_write(Path(error.filename or paths.directory), error) from error
    return freed


def _is_kept(file: Path, paths: BuildPaths) -> bool:
    if file.is_symlink():
        return False
    return file in (paths.marker, paths.lock) or file.suffix in KEPT_SUFFIXES or paths.records in file.parents
