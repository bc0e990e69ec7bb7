"""Tolerances: which one holds for which output, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from lexer_models import FAST, TwoInTwoOut
from torch import nn

from turnkey import LexerContext
from turnkey.errors import UsageError
from turnkey.lexer import ValidationError, load
from turnkey.lexer.limits import Limits, recorded_limits
from turnkey.lexer.onnx_export import judged


class OffByAHundredth(nn.Module):
    """The second of two outputs is another number each time."""

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return x * 2, x + 0.01 * torch.rand(3, 4)


def test_the_outputs_name_goes_before_its_dtype_and_that_before_the_rest() -> None:
    limits = Limits(rtol=0.5, particular={"float16": {"rtol": 0.1, "atol": 0.2}, "boxes": {"atol": 0.3}})

    found = {
        (name, dtype): (limits.for_output(name, dtype).rtol, limits.for_output(name, dtype).atol)
        for name in ("boxes", "scores")
        for dtype in ("float16", "float32")
    }
    assert found == {
        ("boxes", "float16"): (0.1, 0.3),
        ("boxes", "float32"): (0.5, 0.3),
        ("scores", "float16"): (0.1, 0.2),
        ("scores", "float32"): (0.5, 1e-5),
    }


@pytest.mark.parametrize(
    ("particular", "passed"),
    [
        ({}, [False, False]),
        ({"first": {"atol": 0.1}}, [True, False]),
        ({"float16": {"atol": 0.1}}, [False, True]),
        ({"float16": {"atol": 0.1}, "float32": {"atol": 0.1}}, [True, True]),
        ({"float16": {"atol": 0.1}, "second": {"atol": 0.0}}, [False, False]),
    ],
)
def test_each_output_is_judged_by_its_own_limits(particular: Any, passed: list[bool]) -> None:
    reference = {"first": np.ones(3, np.float32), "second": np.ones(3, np.float16)}
    actual = {"first": np.full(3, 1.05, np.float32), "second": np.full(3, 1.05, np.float16)}

    verdict, checks = judged(reference, actual, Limits(particular=particular))

    assert [check.passed for check in checks] == passed
    assert verdict == ("pass" if all(passed) else "fail")


def test_a_file_passes_by_the_tolerance_of_one_output_and_is_verified_by_it_later() -> None:
    context = LexerContext(config=FAST)
    given = {"output_names": ["twice", "noisy"]}
    x = torch.ones(3, 4)
    with pytest.raises(ValidationError, match="does not compute"):
        context.export(OffByAHundredth(), x, **given, tolerances={"twice": {"atol": 1.0}})
    context.clear()

    result = context.export(OffByAHundredth(), x, **given, tolerances={"noisy": {"atol": 0.02}})
    assert result.validation == "pass"
    with pytest.warns(UserWarning, match="nothing was benchmarked"):
        [found] = load(context.flush("noisy")).verify()
    assert found.verdict == "pass"
    assert "judged by its own limits: noisy.atol=0.02" in found.reason


def test_limits_for_what_the_model_does_not_have_are_refused() -> None:
    context = LexerContext(config=FAST)
    inputs = (torch.ones(2, 4), torch.ones(2, 4))

    with pytest.raises(UsageError, match="did you mean total"):
        context.export(TwoInTwoOut(), inputs, tolerances={"totals": {"rtol": 0.1}})
    with pytest.raises(UsageError, match="rtol and atol by output or dtype") as caught:
        context.export(TwoInTwoOut(), inputs, tolerances={"total": {"rtoll": 0.1}})
    assert "rtoll: neither rtol nor atol" in caught.value.evidence
    with pytest.raises(UsageError, match="compared exactly"):
        context.export(
            lambda x: (x > 0, x), inputs[0], output_names=["mask", "same"], tolerances={"mask": {"atol": 1}}
        )
    assert context.runs == ()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1.0, True, "1", 10**400])
def test_recorded_limits_that_are_none_count_for_nothing(value: Any) -> None:
    assert recorded_limits({"rtol": value, "tolerances": {"a": {"atol": value}, "b": 3}}) == replace(
        Limits(), particular={"a": {}}
    )
    assert recorded_limits({"tolerances": value}) == Limits()
