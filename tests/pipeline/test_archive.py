"""Archives: equal bytes for equal content, and no hostile one gets further than its directory."""

from __future__ import annotations

import errno
import io
import os
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from turnkey.errors import ArtifactError, InputError, UsageError
from turnkey.pipeline.archive import read_archive, write_archive
from turnkey.pipeline.archive_directory import Limits

MEMBERS = {"model.onnx": b"\x00weights" * 100, "a/table.csv": b"x,y\n1,2\n", "about.toml": b'title = "t"\n'}


def test_the_same_content_makes_the_same_bytes_whenever_and_from_wherever_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "source").write_bytes(MEMBERS["model.onnx"])
    os.utime(tmp_path / "source", (1_000_000_000, 1_000_000_000))
    write_archive(tmp_path / "one.zip", MEMBERS)
    write_archive(tmp_path / "two.zip", {**MEMBERS, "model.onnx": tmp_path / "source"})

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()


def test_members_are_in_the_order_of_a_format_texts_compressed_and_weights_stored(tmp_path: Path) -> None:
    write_archive(tmp_path / "given.zip", MEMBERS)

    with read_archive(tmp_path / "given.zip") as archive:
        assert archive.names == tuple(MEMBERS)
    with zipfile.ZipFile(tmp_path / "given.zip") as opened:
        assert opened.namelist() == list(MEMBERS)
        assert opened.testzip() is None
        assert {info.filename: info.compress_type for info in opened.infolist()} == {
            "model.onnx": zipfile.ZIP_STORED,
            "a/table.csv": zipfile.ZIP_DEFLATED,
            "about.toml": zipfile.ZIP_DEFLATED,
        }


def test_what_was_written_is_read_back_and_unpacked(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", MEMBERS)

    with read_archive(tmp_path / "a.zip") as archive:
        assert {name: archive.read(name) for name in archive.names} == MEMBERS
        assert archive.text("about.toml") == 'title = "t"\n'
        places = archive.extract(tmp_path / "out")
    assert {name: place.read_bytes() for name, place in places.items()} == MEMBERS


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.dictionaries(st.text(max_size=12), st.binary(max_size=64), min_size=1, max_size=6))
@example({"directory/": b""})
def test_every_set_of_members_comes_back_or_is_refused_before_anything_is_written(
    tmp_path_factory: pytest.TempPathFactory, members: dict[str, bytes]
) -> None:
    path = tmp_path_factory.mktemp("archive") / "a.zip"
    try:
        write_archive(path, members)
    except UsageError:
        assert not path.exists()
        return
    with read_archive(path) as archive:
        assert {name: archive.read(name) for name in archive.names} == members


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_older_archive_and_nothing_else(
    step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_archive(tmp_path / "a.zip", {"old.txt": b"old"})
    older = (tmp_path / "a.zip").read_bytes()

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, step, fail)
    with pytest.raises(InputError, match="no space left"):
        write_archive(tmp_path / "a.zip", MEMBERS)

    assert (tmp_path / "a.zip").read_bytes() == older
    assert os.listdir(tmp_path) == ["a.zip"]


def test_a_check_that_refuses_the_finished_file_keeps_the_older_one(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"old.txt": b"old"})

    def refuse(path: Path) -> None:
        assert zipfile.ZipFile(path).namelist() == ["new.txt"]
        raise ArtifactError("no")

    with pytest.raises(ArtifactError):
        write_archive(tmp_path / "a.zip", {"new.txt": b"new"}, check=refuse)
    with read_archive(tmp_path / "a.zip") as archive:
        assert archive.names == ("old.txt",)


def hostile(path: Path, entries: list[tuple[str, bytes]], *, alter: Callable[[zipfile.ZipInfo], None] | None = None):
    with warnings.catch_warnings(), zipfile.ZipFile(path, "w") as archive:
        warnings.simplefilter("ignore")  # zipfile warns of duplicate names, which is what some of these are for
        for name, content in entries:
            info = zipfile.ZipInfo("placeholder")
            info.filename = info.orig_filename = name
            info.compress_type = zipfile.ZIP_DEFLATED
            if alter is not None:
                alter(info)
            archive.writestr(info, content)
    return path


@pytest.mark.parametrize(
    "names",
    [
        ["../x"],
        ["a/../../x"],
        ["/etc/passwd"],
        ["C:/x"],
        ["a\\..\\x"],
        ["a//b"],
        ["./a"],
        ["a\nb"],
        ["x" * 300],
        ["same", "same"],
        ["x", "x"],
        ["Net.onnx", "net.ONNX"],
        ["Å.onnx", "Å.onnx"],
        ["a", "a/b"],
    ],
)
def test_names_that_would_land_elsewhere_or_on_each_other_are_refused(names: list[str], tmp_path: Path) -> None:
    path = hostile(tmp_path / "h.zip", [(name, b"x") for name in names])

    with pytest.raises(ArtifactError) as caught:
        read_archive(path)
    assert str(path) in caught.value.evidence


def as_link(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFLNK | 0o777) << 16


def as_device(info: zipfile.ZipInfo) -> None:
    info.external_attr = (stat.S_IFCHR | 0o666) << 16


@pytest.mark.parametrize("alter", [as_link, as_device])
def test_links_and_devices_are_refused(alter: Callable[[zipfile.ZipInfo], None], tmp_path: Path) -> None:
    path = hostile(tmp_path / "h.zip", [("x", b"/etc/passwd")], alter=alter)

    with pytest.raises(ArtifactError) as caught:
        read_archive(path)
    assert "link or a device" in caught.value.evidence


def test_a_bomb_is_refused_by_its_directory_and_a_monotonous_text_is_not_taken_for_one(tmp_path: Path) -> None:
    limits = Limits(free_bytes=1 << 10)
    path = hostile(tmp_path / "bomb.zip", [("zeros", bytes(1 << 20))])
    with pytest.raises(ArtifactError) as caught:
        read_archive(path, limits)
    assert "zip bomb" in caught.value.evidence

    write_archive(tmp_path / "text.zip", {"zeros.csv": b"0," * (1 << 19)})
    with read_archive(tmp_path / "text.zip") as archive:
        assert len(archive.read("zeros.csv")) == 1 << 20


@pytest.mark.parametrize(
    "limits", [Limits(members=1), Limits(total_bytes=3), Limits(directory_bytes=80)], ids=["members", "bytes", "index"]
)
def test_more_than_the_limits_say_is_refused(limits: Limits, tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"a": b"12", "b": b"34"})

    with pytest.raises(ArtifactError):
        read_archive(tmp_path / "a.zip", limits)


def test_a_member_beyond_the_limit_of_a_read_is_not_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"a": b"12345"})

    with read_archive(tmp_path / "a.zip") as archive, pytest.raises(ArtifactError, match=r"a\.zip"):
        archive.read("a", limit_bytes=4)


def test_members_that_share_bytes_are_refused(tmp_path: Path) -> None:
    """Two directory entries over one local header: the second entry's name differs, its bytes are the first's."""
    write_archive(tmp_path / "a.zip", {"a": b"content", "b": b"content"})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    second = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<L", raw, second + 42, 0)  # offset of its local header
    (tmp_path / "h.zip").write_bytes(raw)

    with pytest.raises(ArtifactError) as caught:
        read_archive(tmp_path / "h.zip")
    assert "share bytes" in caught.value.evidence


def test_a_last_member_that_reaches_into_the_directory_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"a": b"content"})
    raw = bytearray((tmp_path / "a.zip").read_bytes())
    entry = raw.rindex(b"PK\x01\x02")
    struct.pack_into("<LL", raw, entry + 20, 30, 30)  # packed and unpacked bytes, of seven
    (tmp_path / "h.zip").write_bytes(raw)

    with pytest.raises(ArtifactError) as caught:
        read_archive(tmp_path / "h.zip")
    assert "reaches into the directory" in caught.value.evidence


def test_an_encrypted_member_and_an_unknown_compression_are_refused(tmp_path: Path) -> None:
    for offset, value in ((8, 1), (10, 12)):  # flag bit 0; bzip2
        write_archive(tmp_path / "a.zip", {"a": b"content"})
        raw = bytearray((tmp_path / "a.zip").read_bytes())
        struct.pack_into("<H", raw, raw.rindex(b"PK\x01\x02") + offset, value)
        (tmp_path / "h.zip").write_bytes(raw)
        with pytest.raises(ArtifactError):
            read_archive(tmp_path / "h.zip")


def test_changed_content_is_noticed_when_it_is_read(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"a": b"content of the member"})
    raw = (tmp_path / "a.zip").read_bytes()
    (tmp_path / "h.zip").write_bytes(raw.replace(b"content of", b"CONTENT of"))

    with read_archive(tmp_path / "h.zip") as archive, pytest.raises(ArtifactError):
        archive.read("a")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(st.data())
def test_a_damaged_archive_is_read_or_refused_and_raises_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damaged")
    write_archive(directory / "a.zip", MEMBERS)
    raw = bytearray((directory / "a.zip").read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    del raw[data.draw(st.integers(1, len(raw))) :]
    (directory / "h.zip").write_bytes(raw)

    try:
        with read_archive(directory / "h.zip") as archive:
            for name in archive.names:
                archive.read(name)
    except ArtifactError:
        pass


def test_a_missing_file_and_one_that_is_no_zip_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file missing.zip") as caught:
        read_archive(tmp_path / "missing.zip")
    assert caught.value.remedy
    (tmp_path / "text.zip").write_text("no zip")
    with pytest.raises(ArtifactError):
        read_archive(tmp_path / "text.zip")


def test_unpacking_overwrites_nothing_and_follows_no_link(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", {"d/e/a": b"1"})
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "d").symlink_to(tmp_path / "elsewhere")

    with read_archive(tmp_path / "a.zip") as archive:
        with pytest.raises(InputError):
            archive.extract(tmp_path / "out")
        archive.extract(tmp_path / "clean")
        with pytest.raises(InputError):
            archive.extract(tmp_path / "clean")
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_an_archive_in_front_of_which_something_was_put_still_opens(tmp_path: Path) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("a", b"1")
    (tmp_path / "a.zip").write_bytes(b"#!/bin/sh\n" + stream.getvalue())

    with read_archive(tmp_path / "a.zip") as opened:
        assert opened.read("a") == b"1"
