"""Softmax over float16: its sum is taken in float32, as numpy and processors with half precision take theirs.

The generator adds up in float16, where each of hundreds of additions rounds to eleven bits.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.node import attribute, describe, is_standard
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx

_STATEMENT = """\
for (idx_t row = 0; row < {rows}; ++row) {{
  const _Float16 *from = in0 + row * {width};
  _Float16 *to = out0 + row * {width};
  _Float16 largest = from[0], total;
  float sum = 0.0f;
  for (idx_t i = 1; i < {width}; ++i) if (from[i] > largest) largest = from[i];
  for (idx_t i = 0; i < {width}; ++i) {{
    const _Float16 below = (_Float16)((float)from[i] - (float)largest);
    const _Float16 power = (_Float16)expf((float)below);
    to[i] = power;
    sum += (float)power;
  }}
  total = (_Float16)sum;
  for (idx_t i = 0; i < {width}; ++i) to[i] = (_Float16)((float)to[i] / (float)total);
}}"""


def half_softmax_step(node: onnx.NodeProto, tensors: Mapping[str, Tensor], *, opset: int) -> Step | None:
    """Softmax of float16 along the last axis; None for anything else."""
    if node.op_type != "Softmax" or not is_standard(node):
        return None
    source = tensors[node.input[0]]
    if source.dtype != "float16" or not source.shape or not source.bytes:
        return None
    rank = len(source.shape)
    axis = attribute(node, "axis", -1 if opset >= 13 else 1)
    if axis % rank != rank - 1:
        return None
    kernel = Kernel(
        operators=("softmax",),
        inputs=("_Float16",),
        outputs=("_Float16",),
        statement=_STATEMENT.format(rows=math.prod(source.shape[:-1]), width=source.shape[-1]),
        includes=("math.h",),
        kind="softmax",
        macs=0,
    )
    return Step(kernel=kernel, inputs=(source.name,), outputs=(node.output[0],), nodes=(describe(node),))
