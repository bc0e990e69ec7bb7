"""Tensors without elements: nothing to compute, and sums over them, which are zero."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import describe, is_standard
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_ZERO = frozenset({"ReduceSum", "ReduceSumSquare", "ReduceL1", "ReduceL2"})


def empty_reduction_step(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]
) -> Step | None:
    """Sums over no element are zero, and a result of no element needs no code; None for anything else."""
    if node.output and all(name in tensors and not tensors[name].bytes for name in node.output):
        kernel = Kernel(
            operators=("empty",),
            inputs=(),
            outputs=tuple(dtypes.of_name(tensors[name].dtype).c_type for name in node.output),
            statement="\n".join(f"(void)out{index};" for index in range(len(node.output))),
            kind="fill",
            macs=0,
        )
        return Step(kernel=kernel, inputs=(), outputs=tuple(node.output), nodes=(describe(node),))
    if node.op_type not in _ZERO or not is_standard(node) or tensors[node.input[0]].bytes:
        return None
    target = tensors[node.output[0]]
    kernel = Kernel(
        operators=(node.op_type.lower(), "empty"),
        inputs=(),
        outputs=(dtypes.of_name(target.dtype).c_type,),
        statement=f"memset(out0, 0, {target.bytes});" if target.bytes else "(void)out0;",
        includes=("string.h",),
        kind="fill",
        macs=0,
    )
    return Step(kernel=kernel, inputs=(), outputs=(target.name,), nodes=(describe(node),))
