"""Names of builds, and whose directory it is.

A build is named after its source: ``<file stem>[_<author label>][_<hash given by the user>]``. The marker in the
directory says which source file it belongs to; a second file of the same stem gets ``-<6 hex>`` of its path.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from pathlib import Path

from turnkey.errors import ArtifactError, InputError
from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import cache_lock

CACHE_MARKER = ".turnkeycache"
_MAXIMUM_LENGTH = 150
"""Longest stem in bytes: file names may have 255, and ours add a suffix to the build's name."""


def base_name(source: Path, *, author: str = "", model_hash: str = "") -> str:
    """The name before any clash is known; only letters, digits, ``.``, ``_`` and ``-``."""
    parts = [source.stem, author, model_hash]
    name = re.sub(r"[^A-Za-z0-9._-]", "_", "_".join(part for part in parts if part))
    if len(name) > _MAXIMUM_LENGTH:
        name = f"{name[:_MAXIMUM_LENGTH]}-{_digest(source)}"
    return f"_{name[1:]}" if name.startswith(".") else name  # no hidden directory, neither "." nor ".."


def check_name(name: str) -> None:
    """Refuse a name that is no plain directory name.

    Raises:
        ArtifactError: it has other characters, or would leave the cache.
    """
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", name):
        raise ArtifactError("this is not the name of a build", evidence=repr(name))


def claim(cache_dir: Path, source: Path, *, author: str = "", model_hash: str = "") -> BuildPaths:
    """Make (or find) the build directory of this source file and mark it as its own.

    Two processes that claim at the same time get the same directory for the same source, else different ones.

    Raises:
        InputError: the cache cannot be written, or both names are taken by what is not ours.
    """
    open_cache(cache_dir)
    name = base_name(source, author=author, model_hash=model_hash)
    with cache_lock(cache_dir):
        for candidate in (name, f"{name}-{_digest(source)}"):
            paths = BuildPaths(cache_dir, candidate)
            if _is_free(paths.directory):
                _mark(paths, str(source))
            if owner(paths) == str(source):
                return paths
    raise InputError(
        f"the build directory {name} belongs to something else",
        evidence=str(paths.directory),
        remedy="choose another cache: turnkey -d DIR …",
    )


def claim_directory(paths: BuildPaths, source: str) -> None:
    """Make and mark the directory of a build whose name was chosen by the caller.

    Raises:
        ArtifactError: the name is no plain directory name.
        InputError: it cannot be written, or there is a directory that is not ours.
    """
    check_name(paths.build_name)
    open_cache(paths.cache_dir)
    with cache_lock(paths.cache_dir):
        if not paths.marker.is_file() and not _is_free(paths.directory):
            raise InputError(
                "this directory is not a build of ours",
                evidence=str(paths.directory),
                remedy="choose another build name or cache",
            )
        if not paths.marker.is_file():
            _mark(paths, source)


def remove_build(paths: BuildPaths) -> None:
    """Remove a build; its marker goes last, so that an interrupted removal can be repeated.

    Links are removed, never followed. Only for who holds the build's lock.

    Raises:
        InputError: something of it cannot be removed.
    """
    try:
        for entry in paths.directory.iterdir():
            if entry == paths.marker:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()
        paths.marker.unlink()
        paths.directory.rmdir()
    except OSError as error:
        raise durable.cannot_write(paths.directory, error) from error


def _is_free(directory: Path) -> bool:
    """Whether nothing is there, or an empty directory that a full disk kept from being marked."""
    return not directory.exists() or (directory.is_dir() and not any(directory.iterdir()))


def _mark(paths: BuildPaths, source: str) -> None:
    durable.make_directory(paths.directory)
    durable.write_text(paths.marker, json.dumps({"source": source}) + "\n")


def owner(paths: BuildPaths) -> str | None:
    """Absolute path of the source file a build belongs to; None for a directory that bears no marker of ours."""
    try:
        fields = json.loads(paths.marker.read_text(encoding="utf-8")[:10_000])
    except (OSError, ValueError):
        return None
    source = fields.get("source") if isinstance(fields, dict) else None
    return source if isinstance(source, str) else None


def open_cache(cache_dir: Path) -> None:
    """Make the cache directory where it is missing, and mark it. Raises InputError if it cannot be written."""
    durable.make_directory(cache_dir)
    marker = cache_dir / CACHE_MARKER
    if not marker.exists():
        durable.write_text(marker, "")


def is_cache(cache_dir: Path) -> bool:
    """Whether a directory bears the marker of a cache."""
    return (cache_dir / CACHE_MARKER).is_file()


def build_names(cache_dir: Path) -> tuple[str, ...]:
    """Names of all builds of a cache, sorted: directories that bear our marker."""
    if not cache_dir.is_dir():
        return ()
    entries = (entry for entry in cache_dir.iterdir() if entry.is_dir() and not entry.is_symlink())
    return tuple(sorted(entry.name for entry in entries if BuildPaths(cache_dir, entry.name).marker.is_file()))


def _digest(source: Path) -> str:
    return hashlib.sha256(str(source).encode("utf-8", "surrogateescape")).hexdigest()[:6]
