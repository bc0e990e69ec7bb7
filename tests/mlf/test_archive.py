"""The tarball: reproducible when written, harmless when read."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

from turnkey.errors import InputError
from turnkey.mlf import archive
from turnkey.mlf.failures import MlfArtifactError

FILES = {"metadata.json": b'{"export_datetime": "2025-01-01 00:00:00Z"}', "src/m.onnx": b"x" * 700, "a b/ü": b""}


def _tar(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    with tarfile.open(path, "w") as tar:
        for member, content in members:
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def _member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, link
    return member


def _header_of(size: int) -> bytes:
    """A tar whose first member is a header that claims to be that long, and is."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        member = _member("././@PaxHeader", tarfile.XHDTYPE)
        member.size = size
        tar.addfile(member, io.BytesIO(bytes(size)))
    return stream.getvalue()


def _damaged(content: bytes) -> bytes:
    """With other bytes in its second half, where the reading has begun already."""
    middle = len(content) // 2
    return content[:middle] + bytes(byte ^ 0x5A for byte in content[middle : middle + 40]) + content[middle + 40 :]


def test_members_are_sorted_owned_by_root_and_of_one_time(tmp_path: Path) -> None:
    path = tmp_path / "m.tar"
    path.write_bytes(archive.pack(FILES, timestamp=1_700_000_000))
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    assert [m.name for m in members] == sorted(m.name for m in members)
    assert all(m.name.startswith("./") for m in members)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "root", "root", 1_700_000_000)}
    assert {m.mode for m in members if m.isfile()} == {0o644}
    assert {m.mode for m in members if m.isdir()} == {0o755}


def test_gnu_tar_unpacks_what_was_packed(tmp_path: Path) -> None:
    (tmp_path / "m.tar").write_bytes(archive.pack(FILES, timestamp=0))
    subprocess.run(["tar", "xf", "m.tar", "--one-top-level=out"], cwd=tmp_path, check=True)
    assert archive.read(tmp_path / "out").files == FILES
    assert archive.read(tmp_path / "m.tar").files == FILES


def test_the_digest_is_blind_to_the_time_of_export() -> None:
    later = {**FILES, "metadata.json": FILES["metadata.json"].replace(b"2025-01-01", b"2026-02-02")}
    assert archive.digest(FILES) == archive.digest(later)
    assert archive.digest(FILES) != archive.digest({**FILES, "src/m.onnx": b"y" * 700})


@pytest.mark.parametrize(
    "member",
    [
        _member("/etc/passwd"),
        _member("../out"),
        _member("a/../../out"),
        _member("C:/out"),
        _member("a\\b"),
        _member("link", tarfile.SYMTYPE, "/etc/passwd"),
        _member("hard", tarfile.LNKTYPE, "metadata.json"),
        _member("device", tarfile.CHRTYPE),
        _member("pipe", tarfile.FIFOTYPE),
        _member("METADATA.json"),
        _member("metadata.json"),
        _member("src/\x1b[2Jm.onnx"),
    ],
    ids=lambda member: member.name,
)
def test_a_member_that_would_land_elsewhere_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    before = sorted(tmp_path.iterdir())
    path = _tar(tmp_path / "evil.tar", [(_member("metadata.json"), b"{}"), (member, b"")])
    with pytest.raises(MlfArtifactError, match="mlf-unsafe-path"):
        archive.read(path)
    assert sorted(tmp_path.iterdir()) == [*before, path]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (gzip.compress(_header_of(2 << 20)), "a header of 2097152 bytes"),
        (_header_of(2 << 20), "a header of 2097152 bytes"),
        (_damaged(gzip.compress(archive.pack(FILES, timestamp=0))), "m.tar"),
        (_damaged(bz2.compress(archive.pack(FILES, timestamp=0))), "m.tar"),
        (_damaged(lzma.compress(archive.pack(FILES, timestamp=0))), "m.tar"),
    ],
    ids=["long header, compressed", "long header", "gzip", "bzip2", "xz"],
)
def test_what_is_damaged_or_claims_too_much_is_one_named_error(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "m.tar").write_bytes(content)
    with pytest.raises(MlfArtifactError, match="mlf-bad-archive") as caught:
        archive.read(tmp_path / "m.tar")
    assert reason in caught.value.evidence


def test_what_is_no_tarball_is_refused_before_it_is_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(MlfArtifactError, match="mlf-bad-archive"):
        archive.read(tmp_path / "pipe")
    with pytest.raises(MlfArtifactError, match="mlf-missing-part"):
        archive.read(tmp_path)


def test_too_many_members_and_too_deep_json_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MEMBER_LIMIT", 3)
    path = _tar(tmp_path / "many.tar", [(_member(str(i)), b"") for i in range(5)])
    with pytest.raises(MlfArtifactError, match="mlf-too-large"):
        archive.read(path)
    deep = archive.Archive(path, {"metadata.json": b"[" * 70 + b"]" * 70})
    with pytest.raises(MlfArtifactError, match="mlf-too-large"):
        deep.json("metadata.json")


def test_mutated_tarballs_give_files_or_a_named_error(tmp_path: Path) -> None:
    content = archive.pack(FILES, timestamp=0)
    generator = random.Random(0)
    path = tmp_path / "mutant.tar"
    seen: set[str] = set()
    for _ in range(1500):
        mutant = bytearray(content)
        for _ in range(generator.randint(1, 4)):
            mutant[generator.randrange(len(mutant))] = generator.randrange(256)
        path.write_bytes(bytes(mutant[: generator.randint(1, len(mutant))] if generator.random() < 0.3 else mutant))
        try:
            archive.read(path)
        except MlfArtifactError as error:
            seen.add(error.code)
    assert seen <= {"mlf-bad-archive", "mlf-unsafe-path", "mlf-too-large"}
    assert list(tmp_path.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "m.tar"
    path.write_bytes(b"older")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match="cannot be written") as caught:
        archive.write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
    assert "No space left" in caught.value.evidence
    assert list(tmp_path.iterdir()) == [path]


def test_a_written_file_has_the_users_permissions_and_the_umask_is_never_touched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = os.umask(0o027)
    try:

        def touched(_: int) -> int:
            raise AssertionError("the umask belongs to all threads")

        monkeypatch.setattr(os, "umask", touched)
        archive.write_atomically(tmp_path / "new" / "m.tar", b"newer")
    finally:
        monkeypatch.undo()
        os.umask(before)
    assert (tmp_path / "new" / "m.tar").stat().st_mode & 0o777 == 0o640
