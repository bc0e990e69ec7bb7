"""Locks: one process works on a build at a time; two calls on one cache wait for each other, build by build.

The lock is the kernel's (flock through filelock): it ends with its process, however that ends, so no stale lock can
block a build, and a state that says ``incomplete`` while nobody holds the lock was killed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths

_PATIENCE_SECONDS = 0.5
"""How long a wait for another process stays unmentioned."""


@contextmanager
def hold(paths: BuildPaths, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
    """Hold the lock of a build while working on it; waits for its present holder.

    Args:
        on_wait: called once if another process holds it and we have to wait.

    Raises:
        InputError: the directory cannot be written.
    """
    with _held(paths.lock, on_wait):
        durable.remove_leftovers(paths.directory)
        yield


@contextmanager
def cache_lock(cache_dir: Path) -> Iterator[None]:
    """Hold the lock of a cache: for a moment, while a name is claimed."""
    durable.make_directory(cache_dir / ".calls")
    with _held(cache_dir / ".calls" / ".lock", None):
        yield


def is_held(paths: BuildPaths) -> bool:
    """Whether a process (this one included) works on the build now."""
    if not paths.lock.exists():
        return False
    lock = FileLock(paths.lock)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:  # a cache that we may only read: nobody can be seen to work on it
        return False
    lock.release()
    return False


def settled(status: str, paths: BuildPaths) -> str:
    """The status of a build as it is to be read: ``incomplete`` though nobody works on it means that it was killed."""
    return "killed" if status == "incomplete" and not is_held(paths) else status


@contextmanager
def _held(path: Path, on_wait: Callable[[], None] | None) -> Iterator[None]:
    lock = FileLock(path)
    try:
        try:
            lock.acquire(timeout=_PATIENCE_SECONDS)
        except Timeout:
            if on_wait is not None:
                on_wait()
            lock.acquire()
    except OSError as error:
        raise durable.cannot_write(path, error) from error
    try:
        yield
    finally:
        lock.release()
