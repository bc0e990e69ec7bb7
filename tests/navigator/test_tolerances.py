"""The gate: how far outputs may lie from the source model's."""

from __future__ import annotations

import numpy as np
import pytest

from turnkey.errors import UsageError
from turnkey.navigator.tolerances import checked_limits, compare_outputs, limits_from, plain_limits, summarize
from turnkey.verify import VerificationVerdict

X = np.linspace(-2, 2, 8, dtype=np.float32)


def verdict(reference, actual, **options):
    return compare_outputs({"y": reference}, {"y": actual}, **options).verdict


def finding(reference, actual, **options):
    return summarize([compare_outputs({"y": reference}, {"y": actual}, **options)], outputs=["y"])


@pytest.mark.defect("ND8")
def test_a_model_that_is_wrong_by_102_fails():
    assert not finding(X, X + 102).ok


def test_float32_allows_the_documented_difference_and_no_more():
    assert verdict(X, X + np.float32(5e-6)) is VerificationVerdict.VALID
    assert verdict(X, X + np.float32(5e-2)) is VerificationVerdict.INVALID


def test_the_lower_precision_of_both_sides_decides():
    assert verdict(X, X.astype(np.float16) + np.float16(0.001)) is VerificationVerdict.VALID
    assert verdict(X, X + np.float32(0.004)) is VerificationVerdict.INVALID
    assert verdict(X, X + np.float32(0.004), precision="bfloat16") is VerificationVerdict.VALID


@pytest.mark.defect("ND10")
def test_booleans_and_unsigned_integers_are_compared_exactly_in_a_wide_type():
    assert verdict(np.array([True, False]), np.array([True, False])) is VerificationVerdict.VALID
    assert verdict(np.array([True, False]), np.array([True, True])) is VerificationVerdict.INVALID
    found = finding(np.array([0, 250], np.uint8), np.array([255, 250], np.uint8))
    assert not found.ok
    assert found.tolerances[0].atol == 255, "0 - 255 would wrap to 1"


@pytest.mark.defect("ND9")
def test_zeros_in_the_reference_do_not_hide_the_relative_maximum():
    found = finding(np.array([0, 1, 2], np.float32), np.array([0, 1, 2.0001], np.float32))
    assert found.ok
    assert found.tolerances[0].rtol == pytest.approx(5e-5, rel=1e-2), "over the reference, where it is not zero"


@pytest.mark.defect("ND9")
def test_nan_on_one_side_fails():
    assert verdict(X, np.where(X > 1, np.nan, X).astype(np.float32)) is VerificationVerdict.INVALID


@pytest.mark.defect("ND12")
def test_nothing_compared_is_a_failure():
    assert not summarize([], outputs=[]).ok
    assert not summarize([compare_outputs({}, {})], outputs=[]).ok


def test_another_number_or_shape_of_outputs_fails_whatever_the_limits():
    limits = {"y": None}
    assert verdict(X, X[:3], limits=limits) is VerificationVerdict.INVALID
    assert compare_outputs({"y": X, "z": X}, {"y": X}, limits=limits).verdict is VerificationVerdict.INVALID


def test_a_limit_of_none_records_the_difference_without_judging_it():
    found = finding(X, X + 1, limits={"y": None})
    assert found.ok
    assert found.tolerances[0].atol == pytest.approx(1)


def test_a_users_limit_replaces_the_default_for_its_output():
    assert verdict(X, X + np.float32(0.1), limits={"y": (0.2, 0.0)}) is VerificationVerdict.VALID
    assert verdict(X, X + np.float32(0.1), limits={"z": (0.2, 0.0)}) is VerificationVerdict.INVALID


def test_a_limit_that_would_let_everything_pass_is_refused():
    with pytest.raises(UsageError):
        checked_limits({"y": (float("nan"), 0.0)})


def test_what_is_no_pair_of_limits_is_refused():
    for wrong in (1e-3, {"y": 1e-3}, {"y": (1, 2, 3)}, {"y": ("a", 0)}):
        with pytest.raises(UsageError, match="tolerance"):
            checked_limits(wrong)
    assert limits_from(plain_limits({"y": (1, 0.5), "z": None})) == {"y": (1.0, 0.5), "z": None}


def test_outputs_that_a_format_renamed_are_matched_by_position():
    assert compare_outputs({"a": X, "b": X + 1}, {"o0": X, "o1": X + 1}).verdict is VerificationVerdict.VALID
