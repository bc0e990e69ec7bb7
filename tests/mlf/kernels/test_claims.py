"""What resembles the usual case of a template and is another: broadcasts, constants, patterns; few models for all."""

from __future__ import annotations

import math
from pathlib import Path

import models
import numpy as np
import onnx
import pytest
from several import Several, check, exported

import turnkey.mlf as mlf
from turnkey.mlf.sanitized import run_sanitized

pytestmark = pytest.mark.needs("emx_onnx_cgen")

FAST = ("-O1", "-march=native")


def number(several: Several, value: float, *shape: int) -> str:
    return several.constant(np.full(shape, value, np.float32))


def one_plus_erf(several: Several, x: str, divisor: str) -> str:
    return several.add("Add", several.add("Erf", several.add("Div", x, divisor)), number(several, 1))


def test_what_is_broadcast_along_rows_or_channels_is_not_taken_for_the_usual_case(tmp_path: Path) -> None:
    several = Several()
    image = several.input(1, 5, 6, 7)

    def convolved() -> str:
        return several.add("Conv", image, several.weight(9, 5, 3, 3), pads=[1, 1, 1, 1])

    for other in (
        several.weight(1, 9, 6, 7),
        several.weight(9, 6, 1),
        several.input(1, 9, 6, 1),
        several.weight(6, 7),
        several.weight(9, 1, 1),
    ):
        several.output(several.add("Mul", convolved(), other))
    for left in ((5, 7), (3, 5, 7)):  # a bias for each row, behind a product with a vector
        several.output(
            several.add("Add", several.add("MatMul", several.input(*left), several.input(7)), several.weight(5))
        )
    for shape in ((1, 6), (1, 1), (), (1,), (5, 1), (5, 6)):
        several.output(
            several.add("Gemm", several.input(5, 7), several.weight(7, 6), several.weight(*shape), beta=0.5)
        )
    several.output(several.add("LayerNormalization", several.input(4, 4), several.weight(4, 1), axis=1))
    check(several, exported(several.model(), tmp_path / "several.tar"), cflags=FAST)


def test_patterns_that_are_almost_an_activation_or_a_scale_keep_their_values(tmp_path: Path) -> None:
    several = Several()

    def product() -> str:
        return several.add("MatMul", several.input(5, 7), several.weight(7, 6))

    x = product()
    gated = several.add("Mul", x, one_plus_erf(several, x, number(several, math.sqrt(2))))
    several.output(several.add("Mul", several.add("Mul", gated, gated), number(several, 0.5)))  # a square, no GELU
    y = several.add("Conv", several.input(1, 3, 5, 5), several.weight(9, 3, 1, 1))
    gated = several.add("Mul", y, one_plus_erf(several, y, number(several, math.sqrt(2), 1, 1, 1, 1, 1)))
    several.output(several.add("Mul", gated, number(several, 0.5)))  # five axes, in the middle of it
    several.output(several.add("Mul", product(), number(several, math.inf)))
    several.output(several.add("Clip", several.input(4, 4), number(several, math.nan), number(several, 1)))
    module = exported(several.model(), tmp_path / "several.tar")
    check(several, module, cflags=FAST)


def test_padding_wider_than_what_windows_read_stays_inside_the_scratch(tmp_path: Path) -> None:
    several = Several()
    for image, pad, stride in ((1, 2, 5), (4, 9, 40)):
        weight = several.weight(4, 3, 1, 1)
        several.output(
            several.add("Conv", several.input(1, 3, image, image), weight, pads=[0, pad] * 2, strides=[stride] * 2)
        )
    module = exported(several.model(), tmp_path / "several.tar", executor="aot")
    run_sanitized(module, [several.sample])
    check(several, module, cflags=FAST)


def test_an_operator_of_another_domain_is_not_taken_for_the_standard_one_of_its_name(tmp_path: Path) -> None:
    text = """
    <ir_version: 8, opset_import: ["" : 17, "com.example" : 1]>
    foreign (float[3,2] x) => (float[2,4] y)
    <float[3,4] w>
    {
      t = com.example.Transpose(x)
      y = MatMul(t, w)
    }
    """
    model = models.model_of(text)
    model.graph.value_info.append(onnx.helper.make_tensor_value_info("t", onnx.TensorProto.FLOAT, [2, 3]))
    with pytest.raises(mlf.UnsupportedInModelLibraryFormatError, match="mlf-unsupported-op") as caught:
        mlf.export(model, tmp_path / "f.tar")
    assert "Transpose(t)" in caught.value.evidence
