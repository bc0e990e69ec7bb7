"""A format's file, or directory of files: it appears under its name complete, or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from turnkey.whole_file import whole_file


@contextmanager
def finished_file(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to write to, with its suffix; the directory is made. See `turnkey.whole_file`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path, keeps_suffix=True) as unfinished:
        yield unfinished


@contextmanager
def finished_directory(path: Path) -> Iterator[Path]:
    """A name beside ``path`` to make a directory at; it takes the place of one that was there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".unfinished-") as scratch:
        unfinished = Path(scratch) / path.name
        yield unfinished
        if path.exists():
            path.rename(Path(scratch) / "older")
        unfinished.rename(path)
