"""Zip archives that Turnkey ships: the same bytes for the same content, and read without trusting a byte of them.

Writing: members in the order that their format documents, one fixed time, regular files with mode 0644, texts
compressed and everything else stored, published under the name whole or not at all. What could not be read back is
refused before anything is written.

Reading: the directory at the end of the file is bounded before it is parsed, then all names, kinds and sizes are
looked at before any content is. Allowed are regular files and (ignored) empty directory entries; forbidden are
absolute and climbing names, backslashes, control characters, names that are one file on some systems, links, devices,
encryption, other compressions than deflate, members that overlap, and more content than the limits say.

Trade-offs (accepted): compressed bytes depend on the zlib that is installed, so archives are equal on one machine, and
contents everywhere. An archive is opened once and stays open: what is read is what was checked.
Scope: zip. Records of measurements and tarballs of C source have readers with limits of their own.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Self

from turnkey.errors import InputError, UsageError
from turnkey.pipeline import durable
from turnkey.pipeline.archive_directory import (
    DEFAULT_LIMITS,
    Limits,
    bound_directory,
    checked_files,
    fault_of_names,
    refusal,
)

TEXT_SUFFIXES = frozenset(
    {".csv", ".html", ".json", ".jsonl", ".md", ".pbtxt", ".py", ".toml", ".txt", ".yaml", ".yml"}
)
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)
"""The earliest that a zip can say."""
_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One file of an archive: its name with forward slashes, and its unpacked size."""

    name: str
    size_bytes: int


class Archive:
    """An open archive whose directory was checked whole. A context manager; reads raise ArtifactError.

    Attributes:
        path: of the file.
        members: the files, in the order of the directory.
    """

    def __init__(self, path: Path, opened: zipfile.ZipFile, infos: Iterable[zipfile.ZipInfo]) -> None:
        self.path = path
        self._opened = opened
        self._infos = {info.filename: info for info in infos}
        self.members = tuple(Member(name=name, size_bytes=info.file_size) for name, info in self._infos.items())

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._infos)

    def __contains__(self, name: object) -> bool:
        return name in self._infos

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the archive cannot be read afterwards."""
        self._opened.close()

    @contextmanager
    def open(self, name: str) -> Iterator[IO[bytes]]:
        """A member as a stream, which ends after the size that was checked and verifies the stored checksum.

        Raises:
            ArtifactError: there is no such member, or its bytes are not what the directory says.
        """
        if name not in self._infos:
            raise refusal(self.path, f"there is no member {name!r}; it has {', '.join(map(repr, self.names[:10]))}")
        with _as_refusal(self.path, name), self._opened.open(self._infos[name]) as stream:
            yield stream

    def read(self, name: str, *, limit_bytes: int = 64 << 20) -> bytes:
        """A member's bytes.

        Raises:
            ArtifactError: as `open`, or it is larger than the limit.
        """
        with self.open(name) as stream:
            size = self._infos[name].file_size
            if size > limit_bytes:
                raise refusal(self.path, f"{name} has {size} bytes, at most {limit_bytes} are read")
            content = stream.read()
            if len(content) != size:
                raise refusal(self.path, f"{name} ends after {len(content)} of {size} bytes")
            return content

    def text(self, name: str, *, limit_bytes: int = 64 << 20) -> str:
        """A member as UTF-8 text. Raises as `read`."""
        try:
            return self.read(name, limit_bytes=limit_bytes).decode()
        except UnicodeDecodeError as error:
            raise refusal(self.path, f"{name} is not UTF-8 text: {error}") from error

    def sha256(self, name: str) -> str:
        """Digest of a member's content, 64 hex digits, whatever its size. Raises as `open`."""
        digest = hashlib.sha256()
        with self.open(name) as stream:
            while chunk := stream.read(_CHUNK_BYTES):
                digest.update(chunk)
        return digest.hexdigest()

    def extract(self, directory: Path, names: Iterable[str] | None = None) -> dict[str, Path]:
        """Write members (all, or these) below a directory, which is made; returns where each lies.

        Nothing is overwritten, and nothing leaves the directory through a link that lies in it.

        Raises:
            ArtifactError: as `open`.
            InputError: a file is in the way, a directory on the path is a link, or the disk refuses.
        """
        root = Path(os.path.realpath(directory))
        written: dict[str, Path] = {}
        for name in self.names if names is None else names:
            target = root.joinpath(*name.split("/"))
            if Path(os.path.realpath(target.parent)) != target.parent:  # before anything is made on the other side
                raise InputError(f"cannot unpack {name}", evidence=f"{target.parent} leads elsewhere through a link")
            durable.make_directory(target.parent)
            with self.open(name) as stream:
                try:
                    with target.open("xb") as file:
                        shutil.copyfileobj(stream, file, _CHUNK_BYTES)
                except OSError as error:
                    raise durable.cannot_write(target, error) from error
            written[name] = target
        return written


def write_archive(
    path: Path,
    members: Mapping[str, bytes | Path],
    *,
    check: Callable[[Path], None] | None = None,
) -> None:
    """Write a zip, whole or not at all; an older file of that name is replaced.

    Args:
        path: its directory is made.
        members: content by name (forward slashes), in the order of the archive; a path is read from disk in pieces,
            whatever its size.
        check: called with the finished file before it appears under its name; raises to refuse it.

    Raises:
        UsageError: a name that no reader of ours would take.
        InputError: the disk is full or not writable, or a file of ``members`` cannot be read.
    """
    directories = [name for name in members if name.endswith("/")]
    reason = f"member {directories[0]!r} is a directory" if directories else fault_of_names(members)
    if reason:
        raise UsageError(f"cannot write {path.name}: {reason}")
    durable.make_directory(path.parent)
    with durable.replacement(path) as temporary:
        with zipfile.ZipFile(temporary, "x") as archive:
            for name, content in members.items():
                _write_member(archive, name, content)
        if check is not None:
            check(temporary)


def read_archive(path: Path, limits: Limits = DEFAULT_LIMITS) -> Archive:
    """Open an archive after its whole directory was found harmless.

    Raises:
        InputError: there is no such file, or it cannot be read.
        ArtifactError: it is no zip, is damaged or truncated, or holds what is forbidden or beyond the limits.
    """
    try:
        bound_directory(path, limits)
        with _as_refusal(path, "its directory", ValueError, OverflowError, RuntimeError):
            opened = zipfile.ZipFile(path)
    except FileNotFoundError as error:
        raise InputError(
            f"there is no file {path.name}", evidence=str(path), remedy="check the path; ls shows what is there"
        ) from error
    except OSError as error:
        raise durable.cannot_read(path, error) from error
    try:
        return Archive(path, opened, checked_files(path, opened, limits))
    except BaseException:
        opened.close()
        raise


def _write_member(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    info = zipfile.ZipInfo(name, _FIXED_TIME)
    info.create_system = 3  # Unix, so that the mode below counts, wherever it is written
    info.external_attr = (stat.S_IFREG | 0o644) << 16
    if isinstance(content, bytes):
        info.compress_type = _compression(name, len(content))
        archive.writestr(info, content)
        return
    try:
        stream = content.open("rb")
    except OSError as error:
        raise durable.cannot_read(content, error) from error
    with stream:
        info.file_size = os.fstat(stream.fileno()).st_size  # beyond 2 GiB this makes the entry a 64-bit one
        info.compress_type = _compression(name, info.file_size)
        with archive.open(info, "w") as member:
            shutil.copyfileobj(stream, member, _CHUNK_BYTES)


def _compression(name: str, size_bytes: int) -> int:
    """Large texts are stored: monotonous ones would shrink so much that a reader takes them for a bomb."""
    is_text = Path(name).suffix.lower() in TEXT_SUFFIXES
    return zipfile.ZIP_DEFLATED if is_text and size_bytes <= DEFAULT_LIMITS.free_bytes else zipfile.ZIP_STORED


@contextmanager
def _as_refusal(path: Path, place: str, *further: type[Exception]) -> Iterator[None]:
    """Whatever zipfile raises about damaged content as the one error that callers know."""
    damage: tuple[type[Exception], ...] = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error)
    try:
        yield
    except (*damage, *further) as error:
        raise refusal(path, f"{place}: {error or type(error).__name__}") from error
