"""A format's file: it appears under its name complete, or not at all."""

from __future__ import annotations

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
