"""Verdicts and measures of comparing a variant's outputs with the source model's."""

from __future__ import annotations

import json

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from turnkey.verify import Tolerances, VerificationVerdict, compare

VALID, INVALID, UNVERIFIED = VerificationVerdict.VALID, VerificationVerdict.INVALID, VerificationVerdict.UNVERIFIED


def noise(shape=(4, 8), dtype=np.float32, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal(shape) * scale).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.float16, ml_dtypes.bfloat16, np.complex64])
def test_rounding_of_a_dtype_is_within_its_tolerance_and_a_tenth_is_not(dtype):
    reference = noise(dtype=np.float64).astype(dtype)
    wide = np.complex128 if dtype == np.complex64 else np.float64
    rounded = (reference.astype(wide) * (1 + 2 * float(ml_dtypes.finfo(dtype).eps))).astype(dtype)
    assert (rounded != reference).any()
    assert compare({"y": reference}, {"y": rounded}).verdict is VALID
    wrong = reference.copy()
    wrong[2, 3] = wrong[2, 3] * 1.0 + 0.5
    failure = compare({"y": reference}, {"y": wrong}).first_failure
    assert failure.failed_test == "element"
    assert failure.index == (2, 3)


def test_a_failure_names_the_output_the_index_and_both_values():
    reference, wrong = noise(), noise()
    wrong[1, 5] = 9.0
    comparison = compare({"ok": reference, "logits": reference}, {"ok": reference, "logits": wrong})
    assert comparison.verdict is INVALID
    for words in ("'logits'", "[1, 5]", "9 instead", f"{float(reference[1, 5]):.7g}", "1 of 32"):
        assert words in comparison.reason


def test_a_small_systematic_error_fails_by_the_norm_alone():
    reference = noise((1000,))
    shifted = reference * np.float32(1 + 8e-5)
    failure = compare({"y": reference}, {"y": shifted}).first_failure
    assert failure.failed_test == "norm"
    assert failure.disagreeing == 0


def test_an_element_near_zero_may_carry_the_error_of_its_large_neighbours():
    reference = noise((1000,), scale=1e4)
    reference[0] = 0.0
    actual = reference.copy()
    actual[0] = 1e-2
    assert compare({"y": reference}, {"y": actual}).verdict is VALID
    assert compare({"y": reference}, {"y": actual}, tolerances=Tolerances(rtol=1e-5, atol=1e-5)).verdict is INVALID


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16, np.int64, np.bool_])
def test_a_reference_of_zeros_proves_nothing(dtype):
    zeros = np.zeros((2, 3), dtype)
    comparison = compare({"y": zeros}, {"y": zeros})
    assert comparison.verdict is UNVERIFIED
    assert "zero" in comparison.reason


def test_a_nearly_zero_reference_proves_nothing_unless_the_relative_norm_agrees():
    tiny = noise(scale=5e-9)
    assert compare({"y": tiny}, {"y": np.zeros_like(tiny)}).verdict is UNVERIFIED
    assert compare({"y": tiny}, {"y": noise(scale=5e-9, seed=1)}).verdict is UNVERIFIED
    agreeing = compare({"y": tiny}, {"y": tiny * np.float32(1 + 1e-6)})
    assert agreeing.verdict is VALID
    assert "alone" in agreeing.outputs[0].reason


def test_another_output_can_prove_a_model_whose_first_output_is_zero():
    zeros, values = np.zeros((2, 2), np.float32), noise()
    comparison = compare({"head": zeros, "features": values}, {"head": zeros, "features": values})
    assert comparison.verdict is VALID
    assert not comparison.outputs[0].proves


def test_nan_in_the_same_places_agrees_and_elsewhere_does_not():
    reference = noise()
    reference[0, 0] = np.nan
    assert compare({"y": reference}, {"y": reference.copy()}).verdict is VALID
    other = noise()
    other[3, 3] = np.nan
    failure = compare({"y": reference}, {"y": other}).first_failure
    assert failure.failed_test == "nan"
    assert (failure.index, failure.reference_value) == ((0, 0), "nan")


def test_a_reference_that_is_nan_everywhere_proves_nothing():
    nan = np.full((3,), np.nan, np.float32)
    assert compare({"y": nan}, {"y": nan}).verdict is UNVERIFIED


def test_infinities_must_have_the_same_place_and_sign():
    reference = noise()
    reference[1, 1] = np.inf
    assert compare({"y": reference}, {"y": reference.copy()}).verdict is VALID
    flipped = reference.copy()
    flipped[1, 1] = -np.inf
    assert compare({"y": reference}, {"y": flipped}).first_failure.failed_test == "infinity"
    overflowed = noise()
    overflowed[0, 0], overflowed[1, 1] = np.inf, np.inf
    assert compare({"y": reference}, {"y": overflowed}).first_failure.index == (0, 0)


def test_integers_are_exact_even_where_float64_cannot_tell_them_apart():
    reference = np.array([2**62, 5], np.int64)
    failure = compare({"y": reference}, {"y": np.array([2**62 + 1, 5], np.int64)}).first_failure
    assert failure.failed_test == "exact"
    assert failure.actual_value == 2**62 + 1
    assert compare({"y": reference}, {"y": reference.copy()}).verdict is VALID


@pytest.mark.parametrize("name", ["int4", "uint4", "float8_e4m3fnuz", "float4_e2m1fn"])
def test_dtypes_without_a_tolerance_of_their_own_are_exact(name):
    reference, other = (np.array(values).astype(getattr(ml_dtypes, name)) for values in ([1, 2, 3], [1, 2, 2]))
    assert compare({"y": reference}, {"y": reference.copy()}).verdict is VALID
    failure = compare({"y": reference}, {"y": other}).first_failure
    assert (failure.failed_test, failure.index, failure.actual_value) == ("exact", (2,), 2)
    assert compare({"y": reference * 0}, {"y": reference * 0}).verdict is UNVERIFIED


def test_booleans_are_exact():
    reference = np.array([True, False])
    assert compare({"y": reference}, {"y": ~reference}).first_failure.failed_test == "exact"


def test_a_narrower_dtype_of_the_same_kind_is_judged_by_its_own_tolerance_and_noted():
    reference = noise(dtype=np.float32)
    output = compare({"y": reference}, {"y": reference.astype(np.float16)}).outputs[0]
    assert not output.failed_test
    assert output.notes == ("float16 against float32",)
    assert compare({"y": np.array([3])}, {"y": np.array([3], np.int32)}).verdict is VALID


def test_a_float_in_place_of_an_integer_fails():
    assert compare({"y": np.array([3])}, {"y": np.array([3.0])}).first_failure.failed_test == "dtype"


def test_precision_of_the_computation_widens_the_limits_of_float32_outputs():
    reference = noise()
    actual = reference + np.float32(2e-3)
    assert compare({"y": reference}, {"y": actual}).verdict is INVALID
    assert compare({"y": reference}, {"y": actual}, tolerances=Tolerances(precision="float16")).verdict is VALID


def test_shape_mismatch_and_missing_outputs_fail_with_both_sides_named():
    shape = compare({"y": noise((2, 3))}, {"y": noise((3, 2))}).first_failure
    assert shape.failed_test == "shape"
    assert "[3, 2]" in shape.reason
    assert "[2, 3]" in shape.reason
    missing = compare({"y": noise(), "z": noise()}, {"y": noise()}).first_failure
    assert missing.failed_test == "missing"
    assert "'z'" in missing.reason


def test_renamed_outputs_are_matched_by_position_and_noted():
    comparison = compare({"a": noise((2,)), "b": noise((3,))}, {"out_0": noise((2,)), "out_1": noise((3,))})
    assert comparison.verdict is VALID
    assert comparison.outputs[1].notes == ("the variant calls it 'out_1'",)


def test_an_output_that_only_the_variant_has_is_said_and_not_judged():
    comparison = compare({"y": noise()}, {"y": noise(), "extra": noise()})
    assert comparison.verdict is VALID
    assert comparison.unexpected == ("extra",)


def test_empty_outputs_and_no_outputs_prove_nothing():
    empty = np.zeros((0, 4), np.float32)
    assert compare({"y": empty}, {"y": empty}).verdict is UNVERIFIED
    assert compare({}, {}).verdict is UNVERIFIED


def test_scalars_and_strings_compare():
    assert compare({"y": np.float32(2.0)}, {"y": np.float32(2.0)}).verdict is VALID
    assert compare({"y": np.array(["a"])}, {"y": np.array(["b"])}).first_failure.failed_test == "exact"


@pytest.mark.parametrize("limits", [{"rtol": float("nan")}, {"atol": -1.0}, {"atol": float("inf")}])
def test_limits_that_would_disarm_the_test_are_refused(limits):
    with pytest.raises(ValueError, match="finite"):
        Tolerances(**limits)


DTYPES = st.sampled_from(["float16", "float32", "float64", "int32", "int64", "uint8", "bool"])
ARRAYS = DTYPES.flatmap(lambda d: hnp.arrays(np.dtype(d), hnp.array_shapes(min_dims=0, max_dims=3, min_side=0)))


@settings(deadline=None)
@given(ARRAYS)
def test_whatever_the_values_a_copy_is_never_invalid_and_zeros_never_prove_a_value_wrong_silently(array):
    same = compare({"y": array}, {"y": array.copy()})
    assert same.verdict is not INVALID
    for output in same.outputs:
        json.dumps(output.to_dict(), allow_nan=False)
        assert output.max_abs in (None, 0.0)
    with_zeros = compare({"y": array}, {"y": np.zeros_like(array)})
    assert with_zeros.verdict is not VALID


@settings(deadline=None)
@given(ARRAYS, st.data())
def test_a_verdict_never_raises_and_stays_plain_data_for_any_pair_of_arrays(reference, data):
    actual = data.draw(st.one_of(ARRAYS, hnp.arrays(reference.dtype, reference.shape)))
    comparison = compare({"y": reference}, {"y": actual})
    assert comparison.verdict in VerificationVerdict
    assert (comparison.verdict is VALID) == (comparison.reason == "")
    for output in comparison.outputs:
        json.dumps(output.to_dict(), allow_nan=False)


def test_differences_beyond_float64_are_still_plain_data():
    comparison = compare({"y": np.array([1e308, 5e-324])}, {"y": np.array([-1e308, 1.0])})
    assert comparison.verdict is INVALID
    json.dumps(comparison.outputs[0].to_dict(), allow_nan=False)


@settings(deadline=None)
@given(hnp.arrays(np.float32, (5,), elements=st.floats(-1e6, 1e6, width=32)), st.integers(0, 4))
def test_a_planted_error_is_found_where_it_was_planted(reference, place):
    actual = reference.copy()
    actual[place] += np.float32(2 * max(1.0, float(np.abs(reference).max())))
    assert compare({"y": reference}, {"y": actual}).first_failure.index == (place,)
