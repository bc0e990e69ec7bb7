"""Packed constants: the same bytes from numpy at export and from the C kernel of the executor's graph."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turnkey.mlf.kernels.packing import Axis, pack


@given(st.integers(1, 9), st.integers(1, 40), st.sampled_from([4, 8, 16]))
def test_columns_in_blocks_hold_every_value_once_and_zeros_behind(rows: int, columns: int, block: int) -> None:
    source = np.arange(1, rows * columns + 1, dtype=np.float32).reshape(rows, columns)
    blocks = -(-columns // block)
    packed = pack(source, (Axis(blocks, 1, block), Axis(rows, 0, 1), Axis(block, 1, 1)))
    assert packed.shape == (blocks, rows, block)
    whole = packed.transpose(1, 0, 2).reshape(rows, blocks * block)
    assert np.array_equal(whole[:, :columns], source)
    assert not whole[:, columns:].any()
