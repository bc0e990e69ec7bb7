"""Values at the ends of float32, infinities and NaN through kernels: what comes out is what the reference says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from several import Several, check, exported, kinds

pytestmark = pytest.mark.needs("emx_onnx_cgen")

INF, NAN = np.inf, np.nan
VECTORS, PLAIN_C99 = ("-O1", "-march=native"), ("-O1", "-std=c99", "-DTURNKEY_MLF_SCALAR")


def given(several: Several, rows: object) -> str:
    """An input with these values."""
    values = np.array(rows, np.float32)
    name = several.input(*values.shape)
    several.sample[name] = values
    return name


def normalisations(several: Several) -> None:
    """Rows whose squares are infinite, vanish or are subnormal; a row without spread."""
    apart = np.linspace(-1, 1, 12)
    for size in (1e20, 3e18, 1.0, 1e-19, 1e-30):
        for epsilon in (1e-5, 0.0):
            scale, offset = several.weight(12), several.weight(12)
            row = given(several, [apart * size, -apart * size])
            several.output(several.add("LayerNormalization", row, scale, offset, epsilon=epsilon))
    several.output(several.add("LayerNormalization", given(several, [[5.0] * 12]), several.weight(12), epsilon=0.0))
    for size in (1e20, 1e-30):
        image = given(several, (apart * size).reshape(1, 2, 6))
        scale, offset, mean, spread = several.weight(2), several.weight(2), several.weight(2), [4.0, 1e-30]
        several.output(
            several.add("InstanceNormalization", image, scale, offset),
            several.add("GroupNormalization", image, scale, offset, num_groups=1),
            several.add("BatchNormalization", image, scale, offset, mean, several.constant(np.float32(spread))),
        )


def powers(several: Several) -> None:
    """Softmax, and logarithms of sums of exponentials, of what is too large to be a power."""
    rows = [[1000, 999, -1000, 3e38], [-1e4, -1e4, -INF, -1e4], [1, 2, INF, 3], [-INF] * 4, [NAN, 1, 2, 3]]
    several.output(several.add("Softmax", given(several, rows[:2]), axis=-1))
    for axes, keepdims in (([1], 1), ([0], 0), ([0, 1], 0)):
        wanted = several.constant(np.array(axes))
        told = rows if len(axes) == 1 else rows[:-1]  # of an infinity and NaN, ONNX Runtime loses the NaN
        several.output(several.add("ReduceLogSumExp", given(several, told), wanted, keepdims=keepdims))
        several.output(several.add("ReduceLogSumExp", given(several, rows[:2]), wanted, keepdims=keepdims))
    several.output(several.add("ReduceL2", given(several, [[1e20, 1e20], [3e-20, 4e-20]]), several.constant([1])))


def constants(several: Several) -> None:
    """Infinite attributes and constants, as text of the code."""
    values = [[-INF, -7.0, -0.0, 0.0, 7.0, INF]]
    low, high, infinite = (several.constant(np.float32(value)) for value in (-3, 3, INF))
    negative = several.constant(np.float32(-INF))
    several.output(
        several.add("Clip", given(several, values), low, infinite),
        several.add("Clip", given(several, values), negative, high),
        several.add("LeakyRelu", given(several, values), alpha=INF),
        several.add("Mul", several.add("Exp", given(several, [[1.0, 2.0]])), infinite),
        several.add("Add", several.add("Neg", given(several, [[1.0, 2.0]])), negative),
        several.add("Gemm", given(several, [[1.0, 2.0]]), several.constant(np.eye(2, dtype=np.float32)), alpha=INF),
        several.add("Pad", given(several, values), several.constant(np.array([0, 1, 0, 2])), negative),
    )


@pytest.mark.parametrize(
    ("network", "flags"),
    [
        (normalisations, VECTORS),
        (powers, VECTORS),
        (constants, VECTORS),
        (constants, (*PLAIN_C99, "-pedantic-errors")),
    ],
)
def test_the_result_is_the_one_of_onnx_runtime(
    network: Callable[[Several], None], flags: tuple[str, ...], tmp_path: Path
) -> None:
    several = Several(opset=21)
    network(several)
    check(several, exported(several.model(), tmp_path / "several.tar"), cflags=flags)


@pytest.mark.parametrize("flags", [VECTORS, PLAIN_C99])
def test_float_max_pools_pass_over_what_is_no_number(flags: tuple[str, ...], tmp_path: Path) -> None:
    several = Several()
    image = np.random.default_rng(0).standard_normal((1, 19, 5, 6)).astype(np.float32)
    image[np.random.default_rng(1).random(image.shape) < 0.3] = NAN
    image[0, 0], image[0, 1, 0, 0] = NAN, -INF
    x = given(several, image)
    several.output(several.add("MaxPool", x, kernel_shape=[3, 3], pads=[1] * 4), several.add("GlobalMaxPool", x))
    module = exported(several.model(), tmp_path / "several.tar")
    assert {"pool", "global_pool"} <= {*kinds(module)}
    pooled, largest = module.build(cflags=flags).run(several.sample).values()
    numbers = np.where(np.isnan(image), -INF, image)
    np.testing.assert_array_equal(largest, numbers.max((2, 3), keepdims=True))
    padded = np.pad(numbers, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-INF)
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))
    np.testing.assert_array_equal(pooled, windows.max((4, 5)))
