"""The .params file: TVM's bytes, read without trusting a count."""

from __future__ import annotations

import contextlib
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from turnkey.mlf import load_params, save_params
from turnkey.mlf.failures import MlfArtifactError
from turnkey.mlf.params import data_offsets

GOLDEN = bytes.fromhex(
    "b79c04054f8de5f7" "0000000000000000"  # list magic, reserved
    "0200000000000000" "0100000000000000" "77" "0400000000000000" "6d61736b"  # names w, mask
    "0200000000000000"
    "3fa1b496f0405edd" "0000000000000000" "0100000000000000" "02000000" "02200100"  # float32, rank 2, on the cpu
    "0100000000000000" "0200000000000000" "0800000000000000" "0000803f00000040"
    "3fa1b496f0405edd" "0000000000000000" "0100000000000000" "01000000" "01010100"  # bool: code 1, one bit
    "0300000000000000" "0300000000000000" "010001"
)  # fmt: skip


def test_the_bytes_are_those_of_tvms_writer() -> None:
    parameters = {"w": np.array([[1, 2]], np.float32), "mask": np.array([True, False, True])}
    assert save_params(parameters) == GOLDEN


def test_a_bool_is_read_under_either_of_its_type_codes() -> None:
    newer = GOLDEN.replace(bytes.fromhex("0100000001010100"), bytes.fromhex("0100000006080100"))
    assert newer != GOLDEN
    assert load_params(newer)["mask"].dtype == np.bool_


@given(
    st.dictionaries(
        st.text(max_size=8),
        st.sampled_from(["float32", "float64", "float16", "int8", "int64", "uint8", "uint16", "bool"]).flatmap(
            lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4))
        ),
        max_size=4,
    )
)
def test_what_is_written_is_read_again(parameters: dict[str, np.ndarray]) -> None:
    loaded = load_params(save_params(parameters))
    assert list(loaded) == list(parameters)
    for name, array in parameters.items():
        assert loaded[name].dtype == array.dtype
        assert loaded[name].shape == array.shape
        assert loaded[name].tobytes() == array.tobytes()


def test_data_offsets_point_at_the_data() -> None:
    parameters = {"a": np.arange(5, dtype=np.int32), "b": np.ones((2, 2)), "c": np.zeros(0, np.float32)}
    content = save_params(parameters)
    for name, offset in data_offsets(parameters).items():
        array = parameters[name]
        assert content[offset : offset + array.nbytes] == array.tobytes()


@pytest.mark.parametrize("position", range(0, len(GOLDEN) - 1, 7))
def test_a_truncated_file_is_named_as_such(position: int) -> None:
    with pytest.raises(MlfArtifactError, match="mlf-bad-params"):
        load_params(GOLDEN[:position])


@given(st.integers(0, len(GOLDEN) - 1), st.integers(0, 255))
def test_a_changed_byte_gives_arrays_or_a_named_error(position: int, value: int) -> None:
    changed = bytearray(GOLDEN)
    changed[position] = value
    with contextlib.suppress(MlfArtifactError):  # anything else that is raised fails the test
        load_params(bytes(changed))


def test_a_count_beyond_the_file_is_refused_before_memory_is_taken() -> None:
    huge = GOLDEN[:16] + struct.pack("<Q", 1 << 60) + GOLDEN[24:]
    with pytest.raises(MlfArtifactError, match="names in"):
        load_params(huge)
