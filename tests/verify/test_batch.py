"""Samples of other batch sizes."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from turnkey.model.signature import Signature, TensorSpec
from turnkey.verify.batch import batch_size, batch_symbol, other_sizes, resized


def signature(*specs):
    return Signature(inputs=tuple(TensorSpec(name=name, dtype="int64", shape=shape) for name, shape in specs))


@given(size=st.integers(1, 5), wanted=st.integers(1, 9), length=st.integers(2, 6), seed=st.integers(0, 99))
def test_a_resized_sample_has_the_size_keeps_the_dtype_and_invents_no_values(size, wanted, length, seed):
    ids = np.random.default_rng(seed).integers(0, 50, (size, length))
    sample = {"ids": ids, "table": np.arange(3.0)}
    other = resized(sample, signature(("ids", ("batch", length)), ("table", (3,))), wanted)
    assert other["ids"].shape == (wanted, length)
    assert other["ids"].dtype == ids.dtype
    assert set(other["ids"].ravel()) <= set(ids.ravel())
    np.testing.assert_array_equal(other["ids"][: min(size, wanted)], ids[: min(size, wanted)])
    np.testing.assert_array_equal(other["table"], sample["table"])


def test_repeated_items_differ_so_that_a_mixed_up_batch_is_seen():
    other = resized({"x": np.array([[1, 2, 3]])}, signature(("x", ("batch", 3))), 2)
    np.testing.assert_array_equal(other["x"], [[1, 2, 3], [3, 2, 1]])


def test_every_axis_with_the_batchs_symbol_is_resized():
    given = signature(("x", ("batch", 2)), ("mask", (1, "batch")))
    other = resized({"x": np.ones((2, 2), int), "mask": np.ones((1, 2), int)}, given, 3)
    assert other["x"].shape == (3, 2)
    assert other["mask"].shape == (1, 3)


def test_the_batch_is_the_first_symbolic_first_axis():
    assert batch_symbol(signature(("scalar", ()), ("fixed", (4,)), ("x", ("n", "length")))) == "n"
    assert batch_symbol(signature(("x", (4, "length")))) is None


def test_other_sizes_are_one_and_larger_and_never_the_size_itself():
    for size in range(1, 6):
        assert size not in other_sizes(size)
        assert len(set(other_sizes(size))) == 2


def test_items_of_a_call_are_the_first_extent_of_the_first_input_with_axes():
    assert batch_size({"scale": np.float32(2), "x": np.zeros((4, 2))}) == 4
    assert batch_size({"scale": np.float32(2)}) == 1
