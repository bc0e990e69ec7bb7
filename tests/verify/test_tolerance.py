"""Limits by dtype, and what the user's own values mean."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from turnkey.verify import Tolerances, VerificationVerdict, compare, precision_of


def test_the_coarser_of_both_dtypes_and_the_precision_of_the_computation_decide():
    plain = Tolerances()
    assert plain.limit_for("float32", "float16") == plain.limit_for("float16", "float16")
    assert Tolerances(precision="float16").limit_for("float32", "float32") == plain.limit_for("float16")
    assert Tolerances(precision="float16").limit_for("bfloat16", "bfloat16") == plain.limit_for("bfloat16")


def test_every_coarser_dtype_allows_more():
    limits = [Tolerances().limit_for(name) for name in ("float64", "float32", "float16", "bfloat16", "float8_e5m2")]
    for finer, coarser in itertools.pairwise(limits):
        assert finer.rtol < coarser.rtol
        assert finer.atol < coarser.atol
        assert finer.relative_l2 < coarser.relative_l2


@pytest.mark.parametrize("dtype", ["int64", "bool", "uint8"])
def test_integers_and_booleans_are_exact_whatever_the_user_allows(dtype):
    limit = Tolerances(rtol=0.5, atol=0.5).limit_for(dtype, dtype)
    assert (limit.rtol, limit.atol) == (0.0, 0.0)


def test_a_value_of_the_users_is_literal_and_the_other_keeps_its_default():
    limit = Tolerances(atol=1e-3).limit_for("float32")
    assert limit.atol == 1e-3
    assert limit.rtol == Tolerances().limit_for("float32").rtol
    assert limit.relative_l2 is None
    assert not limit.scaled


@pytest.mark.parametrize(
    ("key", "precision"),
    [
        ("onnx", None),
        ("onnx-opt-fp16", "float16"),
        ("onnx-f16", "float16"),
        ("onnx-bf16", "bfloat16"),
        ("fp16x", None),
    ],
)
def test_the_key_of_a_variant_tells_its_precision(key, precision):
    assert precision_of(key) == precision


def test_quantised_variants_are_judged_by_the_size_of_their_outputs_however_small():
    generator = np.random.default_rng(0)
    for scale in (1e-3, 1.0, 1e3):
        wanted = {"y": generator.standard_normal((4, 50)) * scale}
        near = {"y": wanted["y"] + 0.03 * scale * generator.standard_normal((4, 50))}
        garbage = {"y": wanted["y"] + 0.4 * scale * generator.standard_normal((4, 50))}
        limits = Tolerances(precision=precision_of("onnx-int8-static"))
        assert compare(wanted, near, tolerances=limits).verdict is VerificationVerdict.VALID
        assert compare(wanted, garbage, tolerances=limits).verdict is VerificationVerdict.INVALID
        assert compare(wanted, near).verdict is VerificationVerdict.INVALID


@pytest.mark.parametrize("precision", ["onnx-int8-static", "onnx-int4"])
def test_an_offset_that_all_elements_share_does_not_hide_what_a_quantised_variant_lost(precision):
    limits = Tolerances(precision=precision_of(precision))
    wanted = {"y": 100 + np.random.default_rng(0).standard_normal((4, 50))}
    constant = {"y": np.full((4, 50), 100.0)}
    near = {"y": wanted["y"] + 0.02}
    halved = {"y": 100 + (wanted["y"] - 100) * 0.5}
    found = compare(wanted, constant, tolerances=limits)
    assert found.verdict is VerificationVerdict.UNVERIFIED
    assert "a constant would agree too" in found.reason
    assert compare(wanted, halved, tolerances=limits).verdict is VerificationVerdict.UNVERIFIED
    assert compare(wanted, near, tolerances=limits).verdict is VerificationVerdict.VALID


def test_one_element_far_off_among_many_small_ones_is_found_where_the_norm_does_not_show_it():
    wanted = {"y": 1e-3 * np.random.default_rng(0).standard_normal(10_000)}
    given = {"y": wanted["y"].copy()}
    given["y"][7] += 5e-3
    found = compare(wanted, given, tolerances=Tolerances(precision=precision_of("onnx-int8-static")))
    assert found.worst("relative_l2") < 0.1
    assert (found.verdict, found.outputs[0].failed_test) == (VerificationVerdict.INVALID, "element")


@pytest.mark.parametrize(("error", "verdict"), [(0.2, VerificationVerdict.VALID), (0.9, VerificationVerdict.INVALID)])
def test_outputs_of_one_size_are_judged_by_the_norm_at_four_bits(error, verdict):
    wanted = {"y": np.ones((2, 8), np.float32)}
    given = {"y": wanted["y"] * np.float32(1 + error)}
    assert compare(wanted, given, tolerances=Tolerances(precision=precision_of("onnx-int4"))).verdict is verdict
