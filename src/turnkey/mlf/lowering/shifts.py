"""Bit shifts by any amount: as wide as the type or wider, and negative, where C leaves the result undefined."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import attribute, describe, is_standard
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx


def shift_step(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]
) -> Step | None:
    """BitShift on tensors of one shape; others are left to the generator.

    All bits are shifted out by a negative amount or one that is not below the width; shifting right, a negative
    number then leaves all ones.
    """
    if node.op_type != "BitShift" or not is_standard(node):
        return None
    left, right, target = (tensors[name] for name in (*node.input, *node.output))
    if left.shape != target.shape or right.shape != target.shape:
        return None
    kind = dtypes.of_name(target.dtype)
    to_left = attribute(node, "direction") == b"LEFT"
    signed = kind.code == 0
    count = target.bytes // kind.bytes
    guard = f"{'by >= 0 && ' if signed else ''}by < {kind.bits}"
    unsigned = f"uint{kind.bits}_t"
    if to_left:
        inside, outside = f"({kind.c_type})(({unsigned})in0[i] << by)", "0"
    else:
        inside, outside = f"({kind.c_type})(in0[i] >> by)", "in0[i] < 0 ? -1 : 0" if signed else "0"
    statement = (
        f"for (idx_t i = 0; i < {count}; ++i) {{\n"
        f"  const {kind.c_type} by = in1[i];\n"
        f"  out0[i] = ({guard}) ? {inside} : ({kind.c_type})({outside});\n"
        "}"
    )
    kernel = Kernel(
        operators=("bitshift",),
        inputs=(kind.c_type, kind.c_type),
        outputs=(kind.c_type,),
        statement=statement,
        kind="bitshift",
        overwrites=0,
        macs=0,
    )
    return Step(kernel=kernel, inputs=tuple(node.input), outputs=tuple(node.output), nodes=(describe(node),))
