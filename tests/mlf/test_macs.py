"""Multiply-accumulates of layers whose counts are known."""

from __future__ import annotations

from typing import Any

import onnx
import pytest

from turnkey.mlf.lowering.macs import multiply_accumulates
from turnkey.mlf.tensor import Tensor

LAYERS: list[tuple[str, dict[str, Any], list[tuple[int, ...]], tuple[int, ...], int]] = [
    ("Conv", {}, [(1, 3, 224, 224), (64, 3, 7, 7)], (1, 64, 112, 112), 118_013_952),  # the first layer of ResNet
    ("Conv", {"group": 32}, [(1, 32, 10, 10), (32, 1, 3, 3)], (1, 32, 8, 8), 32 * 64 * 9),
    ("ConvTranspose", {}, [(1, 8, 5, 5), (8, 4, 2, 2)], (1, 4, 10, 10), 8 * 25 * 4 * 4),
    ("MatMul", {}, [(2, 12, 64, 32), (2, 12, 32, 64)], (2, 12, 64, 64), 2 * 12 * 64 * 64 * 32),
    ("Gemm", {}, [(1, 512), (512, 1000)], (1, 1000), 512_000),
    ("Gemm", {"transA": 1}, [(512, 2), (512, 1000)], (2, 1000), 1_024_000),
]


@pytest.mark.parametrize(("operator", "attributes", "inputs", "output", "count"), LAYERS)
def test_layers_have_their_known_counts(
    operator: str, attributes: dict[str, Any], inputs: list[tuple[int, ...]], output: tuple[int, ...], count: int
) -> None:
    names = [f"x{index}" for index in range(len(inputs))]
    node = onnx.helper.make_node(operator, names, ["y"], **attributes)
    shapes = {**dict(zip(names, inputs, strict=True)), "y": output}
    tensors = {name: Tensor(name=name, dtype="float32", shape=shape) for name, shape in shapes.items()}
    assert multiply_accumulates(node, tensors) == count


def test_operators_that_are_no_sums_of_products_have_none() -> None:
    tensors = {name: Tensor(name=name, dtype="float32", shape=(4,)) for name in "xy"}
    assert multiply_accumulates(onnx.helper.make_node("Relu", ["x"], ["y"]), tensors) is None
    assert multiply_accumulates(onnx.helper.make_node("Conv", ["x"], ["y"], domain="mine"), tensors) is None
