"""The directory of a zip that came from somewhere, looked at before any content: bounds, names, kinds, sizes."""

from __future__ import annotations

import os
import re
import stat
import struct
import unicodedata
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import ArtifactError

_PART_LIMIT_BYTES = 255
_NAME_LIMIT = 1024
_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f\\]|^[A-Za-z]:")
_END, _END_SIZE = b"PK\x05\x06", 22
_LOCATOR, _LOCATOR_SIZE = b"PK\x06\x07", 20
_END_64, _END_64_SIZE = b"PK\x06\x06", 56
_LOCAL_HEADER_BYTES = 30
_COMMENT_LIMIT = 0xFFFF
_ENTRY_BYTES = 46
"""Of a directory entry, without its name, extra field and comment."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a reader puts up with.

    Attributes:
        members: entries of the directory.
        total_bytes: content of all members, unpacked.
        directory_bytes: of the directory at the end of the file.
        expansion: unpacked bytes per packed byte, for members above ``free_bytes``: beyond it a member is a bomb.
        free_bytes: unpacked size up to which any expansion is harmless.
    """

    members: int = 10_000
    total_bytes: int = 64 << 30
    directory_bytes: int = 16 << 20
    expansion: int = 200
    free_bytes: int = 64 << 20


DEFAULT_LIMITS = Limits()


def bound_directory(path: Path, limits: Limits) -> None:
    """Size and entries of the directory, from the record at the end of the file, before anyone parses it."""
    with path.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _END_SIZE - _COMMENT_LIMIT - _LOCATOR_SIZE - _END_64_SIZE))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) - at < _END_SIZE:
        raise refusal(path, "it is no zip, or was cut off")
    entries, directory_bytes = struct.unpack_from("<HL", tail, at + 10)
    wide = at - _LOCATOR_SIZE - _END_64_SIZE
    if wide >= 0 and tail[at - _LOCATOR_SIZE :].startswith(_LOCATOR) and tail[wide:].startswith(_END_64):
        entries, directory_bytes = struct.unpack_from("<QQ", tail, wide + 32)
    if entries > limits.members or directory_bytes > limits.directory_bytes:
        raise refusal(path, f"a directory of {entries} members in {directory_bytes} bytes is beyond the limits")
    if directory_bytes < entries * _ENTRY_BYTES:
        raise refusal(path, f"a directory of {directory_bytes} bytes cannot hold {entries} members")


def checked_files(path: Path, opened: zipfile.ZipFile, limits: Limits) -> list[zipfile.ZipInfo]:
    """The files of a directory, none of them harmful."""
    infos = opened.infolist()
    if len(infos) > limits.members:
        raise refusal(path, f"{len(infos)} members, the limit is {limits.members}")
    for info in infos:
        if fault := _fault_of_kind(info):
            raise refusal(path, f"member {info.filename!r} {fault}")
    reason = fault_of_names([info.orig_filename for info in infos])
    if reason:
        raise refusal(path, reason)
    files = [info for info in infos if not info.is_dir()]
    if not files:
        raise refusal(path, "it holds no file")
    total = sum(info.file_size for info in files)
    if total > limits.total_bytes:
        raise refusal(path, f"{total} bytes of content, the limit is {limits.total_bytes}")
    for info in files:
        if info.file_size > limits.free_bytes and info.file_size > limits.expansion * info.compress_size:
            raise refusal(
                path, f"member {info.filename!r} unpacks {info.compress_size} bytes to {info.file_size}: a zip bomb"
            )
    _refuse_overlap(path, opened, infos)
    return files


def _fault_of_kind(info: zipfile.ZipInfo) -> str:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where the writer's system has no such bits
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        return "is a link or a device"
    if info.is_dir() and info.file_size:
        return "is a directory with content"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"has compression {info.compress_type}, which is not read here"
    if info.compress_type == zipfile.ZIP_STORED and info.compress_size != info.file_size:
        return f"is stored as it is, yet has {info.compress_size} bytes for {info.file_size}"
    return ""


def fault_of_names(names: Iterable[str]) -> str:
    """What is wrong with the first name that is; empty if all are harmless and different on every system."""
    seen: dict[str, str] = {}
    for name in names:
        clean = name.removesuffix("/")
        parts = clean.split("/")
        if not clean or _FORBIDDEN.search(name) or any(part in ("", ".", "..") for part in parts):
            return f"member {name!r} is no relative path with forward slashes"
        longest = max(len(part.encode("utf-8", "replace")) for part in parts)
        if len(name) > _NAME_LIMIT or longest > _PART_LIMIT_BYTES:
            return f"member {name[:40]!r}… has a name that is too long"
        folded = unicodedata.normalize("NFC", clean).casefold()
        if folded in seen:
            return f"members {seen[folded]!r} and {name!r} are one file on some systems"
        seen[folded] = name
    for folded, name in seen.items():
        above = folded.split("/")
        for depth in range(1, len(above)):
            owner = seen.get("/".join(above[:depth]))
            if owner is not None and not owner.endswith("/"):
                return f"member {owner!r} is a file and the directory of {name!r}"
    return ""


def _refuse_overlap(path: Path, opened: zipfile.ZipFile, infos: Iterable[zipfile.ZipInfo]) -> None:
    """Members that share bytes: how a small file unpacks to petabytes, or shows two readers two contents."""
    end = 0
    previous = ""
    for info in sorted(infos, key=lambda each: each.header_offset):
        if info.header_offset < end:
            raise refusal(path, f"members {previous!r} and {info.filename!r} share bytes")
        end = info.header_offset + _LOCAL_HEADER_BYTES + len(info.orig_filename) + info.compress_size
        previous = info.filename
    if end > opened.start_dir:
        raise refusal(path, f"member {previous!r} reaches into the directory")


def refusal(path: Path, reason: str) -> ArtifactError:
    """The one error for an archive that is not to be used."""
    return ArtifactError(
        f"{path.name} cannot be used",
        evidence=f"{path}: {reason}",
        remedy="fetch it again from where it was made, or make it again",
    )
