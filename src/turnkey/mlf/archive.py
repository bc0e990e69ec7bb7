"""The tarball: written with the same bytes for the same content, read without trusting a byte of it.

Writing: POSIX ustar (pax only where a name needs it), members sorted by name, names starting ``./``, owner root, modes
0644 and 0755, one timestamp. Reading: the list of members is checked whole before anything of it is used; content
is read on demand, and nothing is ever unpacked by us outside a private temporary directory.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import io
import json
import lzma
import re
import tarfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Any

from turnkey.errors import InputError
from turnkey.mlf.failures import MlfError, failure
from turnkey.whole_file import whole_file

MEMBER_LIMIT = 10_000
TOTAL_LIMIT_BYTES = 4 << 30
JSON_LIMIT_BYTES = 16 << 20
JSON_DEPTH_LIMIT = 64
_HEADER_LIMIT_BYTES = 1 << 20
_COMPRESSED: Mapping[bytes, Callable[[Path], Any]] = {
    b"\x1f\x8b": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
_BROKEN = (
    *(tarfile.TarError, zlib.error, lzma.LZMAError),
    *(EOFError, OSError, UnicodeError, ValueError, OverflowError, MemoryError),
)
"""What reading a stranger's bytes may raise."""
_DRIVE = re.compile(r"^[A-Za-z]:")


def pack(files: Mapping[str, bytes], *, timestamp: int) -> bytes:
    """The tarball's bytes.

    Args:
        files: content by path, relative, with forward slashes.
        timestamp: modification time of every member, seconds since 1970.
    """
    stream = io.BytesIO()
    directories = {
        parent.as_posix() for path in files for parent in PurePosixPath(path).parents if parent.as_posix() != "."
    }
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in sorted((*files, *directories), key=lambda path: f"./{path}"):
            member = tarfile.TarInfo(f"./{name}")
            member.uid = member.gid = 0
            member.uname = member.gname = "root"
            member.mtime = timestamp
            if name in files:
                member.size, member.mode = len(files[name]), 0o644
                tar.addfile(member, io.BytesIO(files[name]))
            else:
                member.type, member.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(member)
    return stream.getvalue()


def write_atomically(path: Path, content: bytes) -> None:
    """Replace a file as a whole; an interrupted call leaves the older one untouched.

    Raises:
        InputError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise InputError("the file cannot be written", evidence=f"{path}: {error.strerror or error}") from error


def digest(files: Mapping[str, bytes]) -> str:
    """SHA-256 over sorted names and contents, blind to the time of export."""
    total = hashlib.sha256()
    for name in sorted(files):
        content = files[name]
        if name == "metadata.json":
            content = re.sub(rb'("export_datetime": )"[^"]*"', rb'\1""', content)
        total.update(f"{len(name)}:{name}:{len(content)}:".encode())
        total.update(content)
    return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of a tarball, or of the directory that it was unpacked to, checked and in memory."""

    path: Path
    files: Mapping[str, bytes]

    def text(self, name: str) -> str:
        """A member as text. Raises MlfArtifactError if it is missing or not UTF-8."""
        try:
            return self.content(name).decode()
        except UnicodeDecodeError as error:
            raise _refuse(self.path, "mlf-bad-archive", f"{name} is not UTF-8 text") from error

    def content(self, name: str) -> bytes:
        """A member's bytes. Raises MlfArtifactError if the tarball lacks it."""
        if name not in self.files:
            raise _refuse(self.path, "mlf-missing-part", f"there is no {name}")
        return self.files[name]

    def json(self, name: str) -> object:
        """A member as JSON, bounded in size and depth."""
        size = len(self.content(name))
        if size > JSON_LIMIT_BYTES:
            raise _refuse(self.path, "mlf-too-large", f"{name} has {size} bytes, the limit is {JSON_LIMIT_BYTES}")
        text = self.text(name)
        if _depth(text) > JSON_DEPTH_LIMIT:
            raise _refuse(self.path, "mlf-too-large", f"{name} is nested deeper than {JSON_DEPTH_LIMIT} levels")
        try:
            return json.loads(text, parse_constant=_no_constant)
        except ValueError as error:
            code = "mlf-bad-metadata" if name == "metadata.json" else "mlf-bad-graph"
            raise _refuse(self.path, code, f"{name} is not JSON: {error}") from error


def read(path: Path) -> Archive:
    """Read a tarball (also compressed) or the directory that one was unpacked to.

    Raises:
        MlfArtifactError: not a tar, truncated, too large, or with a member that would land elsewhere.
    """
    try:
        if path.exists() and not (path.is_file() or path.is_dir()):  # the other end of a pipe may say nothing
            raise _refuse(path, "mlf-bad-archive", "it is neither a file nor a directory")
        if path.is_dir():
            return Archive(path, _read_directory(path))
        with _opened(path) as stream:
            bounded = _Bounded(stream)
            with tarfile.open(fileobj=bounded, mode="r:") as tar:  # type: ignore[call-overload]
                return Archive(path, _read_members(tar, bounded, path))
    except _BROKEN as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise _refuse(path, "mlf-bad-archive", f"{type(error).__name__}: {error}") from error


def _opened(path: Path) -> IO[bytes]:
    """The tar's own bytes, whatever they are compressed with."""
    with path.open("rb") as file:
        head = file.read(8)
    opening = next((opening for magic, opening in _COMPRESSED.items() if head.startswith(magic)), None)
    stream: IO[bytes] = path.open("rb") if opening is None else opening(path)
    return stream


class _Bounded:
    """A stream that gives at most so many bytes at once: tarfile reads a header of whatever size it claims."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self.most = _HEADER_LIMIT_BYTES
        self.seek, self.tell = stream.seek, stream.tell

    def read(self, size: int) -> bytes:
        if size > self.most:
            raise tarfile.ReadError(f"a header of {size} bytes")
        return self._stream.read(size)


def _read_members(tar: tarfile.TarFile, bounded: _Bounded, path: Path) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    seen: dict[str, str] = {}
    total = 0
    for count, member in enumerate(tar):
        if count >= MEMBER_LIMIT:
            raise _refuse(path, "mlf-too-large", f"more than {MEMBER_LIMIT} members")
        name = _safe_name(member.name, path)
        if not (member.isreg() or member.isdir()):
            raise _refuse(path, "mlf-unsafe-path", f"{member.name!r} is a link or a device")
        if member.issparse():
            raise _refuse(path, "mlf-bad-archive", f"{member.name!r} is stored sparsely")
        if name and seen.setdefault(name.lower(), name) is not name and not member.isdir():
            raise _refuse(path, "mlf-unsafe-path", f"{name!r} and {seen[name.lower()]!r} are one file on some systems")
        if not member.isreg():
            continue
        total += member.size
        if member.size < 0 or total > TOTAL_LIMIT_BYTES:
            raise _refuse(path, "mlf-too-large", f"more than {TOTAL_LIMIT_BYTES} bytes of content")
        stream = tar.extractfile(member)
        bounded.most = max(member.size, _HEADER_LIMIT_BYTES)
        content = stream.read(member.size) if stream is not None else b""
        bounded.most = _HEADER_LIMIT_BYTES
        if len(content) != member.size:
            raise _refuse(path, "mlf-bad-archive", f"{name} ends after {len(content)} of {member.size} bytes")
        files[name] = content
    if not files:
        raise _refuse(path, "mlf-bad-archive", "it holds no file")
    return files


def _safe_name(name: str, path: Path) -> str:
    clean = name[2:] if name.startswith("./") else name
    clean = clean.rstrip("/")
    parts = clean.split("/")
    unsafe = (
        name.startswith("/")
        or ".." in parts
        or "." in parts[1:]
        or "\\" in name
        or _DRIVE.match(name)
        or not name.isprintable()
    )
    if unsafe or (clean not in ("", ".") and "" in parts):
        raise _refuse(path, "mlf-unsafe-path", f"member {name!r}")
    return "" if clean == "." else clean


def _read_directory(path: Path) -> dict[str, bytes]:
    if not (path / "metadata.json").is_file():  # before a whole disk is read
        raise _refuse(path, "mlf-missing-part", "there is no metadata.json")
    files: dict[str, bytes] = {}
    total = 0
    for entry in sorted(path.rglob("*")):
        name = entry.relative_to(path).as_posix()
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise _refuse(path, "mlf-unsafe-path", f"{name!r} is a link or a device")
        if entry.is_dir():
            continue
        total += entry.stat().st_size
        if len(files) >= MEMBER_LIMIT or total > TOTAL_LIMIT_BYTES:
            raise _refuse(path, "mlf-too-large", f"more than {MEMBER_LIMIT} files or {TOTAL_LIMIT_BYTES} bytes")
        files[name] = entry.read_bytes()
    return files


def _depth(text: str) -> int:
    """Deepest nesting of brackets, before a parser recurses into them."""
    deepest = level = 0
    in_string = escaped = False
    for character in text:
        if in_string:
            if escaped:
                escaped = False
            elif character == "\\":
                escaped = True
            elif character == '"':
                in_string = False
        elif character == '"':
            in_string = True
        elif character in "[{":
            level += 1
            deepest = max(deepest, level)
        elif character in "]}":
            level -= 1
    return deepest


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is not JSON")


def _refuse(path: Path, code: str, reason: str) -> MlfError:
    return failure(
        code,
        "the Model Library Format tarball cannot be used",
        evidence=f"{path}: {reason}",
        remedy="fetch it again from where it was made, or export the model again",
    )
