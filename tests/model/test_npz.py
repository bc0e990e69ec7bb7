"""Arrays of NumPy's archives that somebody else wrote."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from turnkey.model.npz import read_arrays, write_arrays

LIMIT = 1 << 20


def npy(array) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.asarray(array), allow_pickle=True)
    return stream.getvalue()


def archive(path, members, compression=zipfile.ZIP_STORED):
    with zipfile.ZipFile(path, "w", compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@settings(max_examples=30, deadline=None)
@given(array=arrays(st.sampled_from(["f4", "i8", "?", "<U3"]), array_shapes(min_dims=0, min_side=0, max_side=4)))
def test_what_numpy_writes_is_read_whatever_its_shape(tmp_path_factory, array):
    path = tmp_path_factory.mktemp("npz") / "0.npz"
    np.savez(path, **{"past.0.key": array, "turned": array.T})
    found = read_arrays(path, limit_bytes=LIMIT)
    assert list(found) == ["past.0.key", "turned"]
    np.testing.assert_array_equal(found["past.0.key"], array)
    np.testing.assert_array_equal(found["turned"], array.T)


def test_what_unpacks_to_one_byte_more_than_allowed_is_refused(tmp_path):
    path = archive(tmp_path / "0.npz", {"x.npy": npy(np.zeros(100)), "y.npy": npy(np.zeros(3))})
    with zipfile.ZipFile(path) as file:
        size = sum(member.file_size for member in file.infolist())
    assert list(read_arrays(path, limit_bytes=size)) == ["x", "y"]
    with pytest.raises(ValueError, match=f"{size} bytes unpacked; at most {size - 1}"):
        read_arrays(path, limit_bytes=size - 1)


def test_a_header_that_claims_more_than_the_member_holds_claims_no_memory(tmp_path):
    huge = npy(np.zeros(4, np.float32)).replace(b"(4,), }", b"(4000000000,), }")
    with pytest.raises(ValueError, match="its header says float32"):
        read_arrays(archive(tmp_path / "0.npz", {"x.npy": huge}), limit_bytes=LIMIT)


def test_compressed_zeros_are_counted_as_what_they_unpack_to(tmp_path):
    path = archive(tmp_path / "0.npz", {"x.npy": npy(np.zeros(1 << 20))}, zipfile.ZIP_DEFLATED)
    assert path.stat().st_size < LIMIT
    with pytest.raises(ValueError, match="at most"):
        read_arrays(path, limit_bytes=LIMIT)


@pytest.mark.parametrize(
    "members",
    [
        {"x.npy": npy(np.array([{}], dtype=object))},
        {"x.npy": b"\x93NUMPY\x09\x00"},
        {"x.npy": b"not an array"},
        {"x.txt": b"text"},
        {"x.npy": npy(np.zeros(3))[:-1]},
    ],
    ids=["objects", "version", "no array", "foreign member", "truncated"],
)
def test_anything_else_is_refused(tmp_path, members):
    with pytest.raises(ValueError):
        read_arrays(archive(tmp_path / "0.npz", members), limit_bytes=LIMIT)


def test_a_link_is_not_followed(tmp_path):
    np.savez(tmp_path / "secret.npz", x=np.ones(2))
    (tmp_path / "0.npz").symlink_to(tmp_path / "secret.npz")
    with pytest.raises(ValueError, match="not a regular file"):
        read_arrays(tmp_path / "0.npz", limit_bytes=LIMIT)


def test_arrays_of_any_names_are_written_and_none_is_pickled(tmp_path):
    given = {name: np.full((2, 3), 1.5) for name in ("file", "args", "a/b", "größe", "")}
    with (tmp_path / "a.npz").open("wb") as file:
        write_arrays(file, given)
    found = read_arrays(tmp_path / "a.npz", limit_bytes=LIMIT)
    assert list(found) == list(given)
    with np.load(tmp_path / "a.npz") as theirs:
        np.testing.assert_array_equal(theirs["file"], given["file"])
    with (tmp_path / "b.npz").open("wb") as file, pytest.raises(ValueError, match="Object arrays"):
        write_arrays(file, {"x": np.array([object()])})
