"""Writing a file so that a reader, a crash or a full disk never meets half of it.

Four steps: the bytes go to a temporary file in the same directory; that file is flushed to the disk (fsync); it is
renamed over the target, which the system does at once or not at all; the directory is flushed, so that the new name
survives a loss of power.

Trade-offs: a process that is killed between the first and the third step leaves a ``.<name>.<hex>.tmp`` behind, which
no reader looks at. The permissions are those of a new file, not of the replaced one.

Scope: files that one process writes at a time; of two that replace one file at once, the later one stays, whole.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def whole_file(path: Path, *, keeps_suffix: bool = False) -> Iterator[Path]:
    """The name of a temporary file to write, which takes the place of ``path`` when the block ends without an error.

    After an error, of the block too, the older file is unchanged.

    Args:
        keeps_suffix: the temporary name ends as the final one, for writers that look at it.

    Raises:
        OSError: the directory is missing or not writable, or the disk is full.
    """
    temporary = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp{path.suffix if keeps_suffix else ''}")
    try:
        yield temporary
        put_in_place(temporary, path)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            temporary.unlink()
        raise
    _flush_directory(path.parent)


def put_in_place(written: Path, path: Path) -> None:
    """Flush a finished file to the disk and give it its name, in the place of an older one."""
    _flush(written, os.O_RDWR)
    os.replace(written, path)


def _flush(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _flush_directory(directory: Path) -> None:
    try:
        _flush(directory, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP}:  # some network file systems cannot flush a directory
            raise
