"""The tarball: reproducible when written, harmless when read."""

from __future__ import annotations

import io
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pytest

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
    ],
    ids=lambda member: member.name,
)
def test_a_member_that_would_land_elsewhere_is_refused(tmp_path: Path, member: tarfile.TarInfo) -> None:
    before = sorted(tmp_path.iterdir())
    path = _tar(tmp_path / "evil.tar", [(_member("metadata.json"), b"{}"), (member, b"")])
    with pytest.raises(MlfArtifactError, match="mlf-unsafe-path"):
        archive.read(path)
    assert sorted(tmp_path.iterdir()) == [*before, path]


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
    with pytest.raises(OSError, match="No space"):
        archive.write_atomically(path, b"newer")
    assert path.read_bytes() == b"older"
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
