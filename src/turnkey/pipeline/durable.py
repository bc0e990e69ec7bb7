"""Files of a build, written whole or not at all (`turnkey.whole_file`), with errors that say what to do.

What a killed writer leaves behind is deleted by `remove_leftovers`; the build's lock sees to it that one process
writes at a time.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from turnkey.errors import InputError
from turnkey.whole_file import whole_file

_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS}


def write_text(path: Path, text: str) -> None:
    """Replace a file by this text (UTF-8), whole or not at all.

    Raises:
        InputError: the disk is full, the directory is not writable, or the write failed otherwise; the file that was
            there before is unchanged.
    """
    write_bytes(path, text.encode())


def write_bytes(path: Path, content: bytes) -> None:
    """Replace a file by these bytes, whole or not at all. Raises like `write_text`."""
    with replacement(path) as temporary:
        temporary.write_bytes(content)


@contextmanager
def replacement(path: Path) -> Iterator[Path]:
    """The name of a temporary file to write, which takes the place of ``path`` when the block ends without an error.

    For artifacts that are too large to hold in memory. After an error, of the block too, the older file is unchanged.

    Raises:
        InputError: as `write_text`; any OSError of the block counts as one of writing.
    """
    try:
        with whole_file(path) as temporary:
            yield temporary
    except OSError as error:
        raise cannot_write(path, error) from error


def make_directory(path: Path) -> None:
    """Make a directory and its parents where they are missing. Raises InputError like `write_text`."""
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(path, error) from error


def remove_leftovers(directory: Path) -> None:
    """Delete temporary files of writers that were killed; only for who holds the lock of the directory."""
    for leftover in directory.glob(".*.tmp"):
        with suppress(FileNotFoundError):
            leftover.unlink()


def is_full(error: OSError) -> bool:
    """Whether the disk, a quota or a limit of file sizes is what refused a write."""
    return error.errno in _SPACE


def cannot_write(path: Path, error: OSError) -> InputError:
    """The three-part error for a write that the system refused."""
    if is_full(error):
        what = f"cannot write {path.name}: no space left"
        remedy = "free some space, or choose a cache on another disk: turnkey -d DIR …"
    elif error.errno in _ACCESS:
        what = f"cannot write {path.name}: not permitted"
        remedy = "choose a cache that you may write: turnkey -d DIR …   # or: export TURNKEY_CACHE_DIR=DIR"
    elif error.errno == errno.ENOENT:
        what = f"cannot write {path.name}: its directory is gone"
        remedy = "run it again; where a script removes it, with a cache that it leaves alone: turnkey -d DIR …"
    else:
        what = f"cannot write {path.name}: {error.strerror or error}"
        remedy = "choose another cache: turnkey -d DIR …   # or: export TURNKEY_CACHE_DIR=DIR"
    return InputError(what, evidence=f"{path}: {error.strerror or error}", remedy=remedy)


def cannot_read(path: Path, error: OSError) -> InputError:
    """The three-part error for a read that the system refused."""
    return InputError(f"cannot read {path.name}", evidence=f"{path}: {error.strerror or error}")
