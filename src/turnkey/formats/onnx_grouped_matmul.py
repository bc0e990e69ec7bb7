"""The matrix product of a mixture of experts as ONNX: rows sorted by expert, each times the weights of its own.

transformers captures its experts as ``transformers::grouped_mm_fallback``, which torch has no translation of.

Trade-offs: one product per expert, written one after the other. That multiplies no more than torch does and takes only
operators that every runtime has, at the price of a graph that grows with the number of experts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, Union

import torch
from onnxscript import BFLOAT16, DOUBLE, FLOAT, FLOAT16, INT32, INT64
from onnxscript.onnx_opset import opset18 as op

TFloat = TypeVar("TFloat", bound=Union[BFLOAT16, DOUBLE, FLOAT, FLOAT16])  # noqa: UP007 - what onnxscript reads
TEnds = TypeVar("TEnds", bound=Union[INT32, INT64])  # noqa: UP007


def translations() -> dict[Any, Callable[..., Any]]:
    """What ``torch.onnx.export`` takes as ``custom_translation_table``; empty where transformers is not loaded."""
    operator = getattr(torch.ops.transformers, "grouped_mm_fallback", None)
    return {} if operator is None else {operator.default: grouped_matmul}


def grouped_matmul(input: TFloat, weight: TFloat, offs: TEnds) -> TFloat:
    """Rows of expert e times its weights; rows after the last group are zero.

    Args:
        input: shape (rows, k), sorted by expert.
        weight: shape (experts, k, n); the number of experts is known.
        offs: shape (experts,), where each expert's rows end.
    """
    ends = op.Cast(offs, to=INT64.dtype)
    start = op.Constant(value_ints=[0])
    products = []
    for expert in range(weight.shape[0]):
        end = op.Gather(ends, op.Constant(value_ints=[expert]), axis=0)
        rows = op.Slice(input, start, end, op.Constant(value_ints=[0]))
        products.append(op.MatMul(rows, op.Gather(weight, op.Constant(value_int=expert), axis=0)))
        start = end
    left = op.Concat(op.Sub(op.Shape(input, start=0, end=1), start), op.Shape(weight, start=2, end=3), axis=0)
    result: TFloat = op.Concat(*products, op.Expand(op.CastLike(0.0, input), left), axis=0)
    return result
