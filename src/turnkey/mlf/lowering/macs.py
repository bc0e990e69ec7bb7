"""Multiply-accumulates of one node: what convolutions and matrix products cost, whoever computes them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.node import attribute, is_standard
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx


def multiply_accumulates(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> int | None:
    """Products that are summed up in one call; None for operators that are no sums of products."""
    count = _COUNTS.get(node.op_type)
    if count is None or not is_standard(node):
        return None
    return count(node, tensors)


def _convolution(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> int:
    """Each output value is a sum over the kernel's window and the input channels of its group."""
    weight = tensors[node.input[3 if node.op_type == "QLinearConv" else 1]]
    return math.prod(tensors[node.output[0]].shape) * math.prod(weight.shape[1:])


def _transposed(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> int:
    """Each input value is spread over the kernel's window and the output channels of its group."""
    return math.prod(tensors[node.input[0]].shape) * math.prod(tensors[node.input[1]].shape[1:])


def _product(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> int:
    """Each output value is a sum over the inner dimension, the last one of the left operand."""
    return math.prod(tensors[node.output[0]].shape) * tensors[node.input[0]].shape[-1]


def _gemm(node: onnx.NodeProto, tensors: Mapping[str, Tensor]) -> int:
    inner = tensors[node.input[0]].shape[0 if attribute(node, "transA", 0) else 1]
    return math.prod(tensors[node.output[0]].shape) * inner


_COUNTS: Mapping[str, Callable[[onnx.NodeProto, Mapping[str, Tensor]], int]] = {
    **dict.fromkeys(("Conv", "ConvInteger", "QLinearConv"), _convolution),
    "ConvTranspose": _transposed,
    **dict.fromkeys(("MatMul", "MatMulInteger", "QLinearMatMul"), _product),
    "Gemm": _gemm,
}
