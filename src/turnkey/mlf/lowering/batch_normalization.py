"""Batch normalisation by known statistics: a factor and an offset for each channel.

A convolution in front takes them into its weights. Where none is in front, they fuse as a product and a sum with what
follows; the generator's kernel for the node knows one layout only, and images would be turned before and behind it.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING

from turnkey.mlf.node import attribute, is_standard
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx

_OLDEST_OPSET = 7
"""Before it, Mul and Add broadcast in another way."""


def has_known_statistics(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Container[str], opset: int
) -> bool:
    """Whether it is a BatchNormalization of float whose factor and offset can be computed at export."""
    return (
        node.op_type == "BatchNormalization"
        and is_standard(node)
        and opset >= _OLDEST_OPSET
        and all(name in constants for name in node.input[1:])
        and node.input[0] in tensors
        and tensors[node.input[0]].dtype == "float32"
        and len(tensors[node.input[0]].shape) > 1
        and not any(node.output[1:])
        and not attribute(node, "training_mode", 0)
        and bool(attribute(node, "spatial", 1))
    )


def as_product_and_sum(node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str) -> list[onnx.NodeProto]:
    """x (scale / sqrt(variance + epsilon)) + (offset - mean scale / sqrt(variance + epsilon)), as ONNX Runtime has it.

    Only the last two nodes depend on x: the others are folded.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    x, scale, offset, mean, variance = node.input
    shape = [tensors[x].shape[1], *[1] * (len(tensors[x].shape) - 2)]
    epsilon = np.float32(attribute(node, "epsilon", 1e-5))
    small, extents, spread, root, factor, moved, rest, factors, offsets, product = (
        f"{prefix}_{part}"
        for part in ("epsilon", "shape", "spread", "root", "factor", "moved", "rest", "factors", "offsets", "product")
    )

    return [
        *(
            onnx.helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(value)))
            for name, value in ((small, epsilon), (extents, np.array(shape, np.int64)))
        ),
        *(
            onnx.helper.make_node(operator, inputs, [output])
            for operator, inputs, output in (
                ("Add", (variance, small), spread),
                ("Sqrt", (spread,), root),
                ("Div", (scale, root), factor),
                ("Mul", (mean, factor), moved),
                ("Sub", (offset, moved), rest),
                ("Reshape", (factor, extents), factors),
                ("Reshape", (rest, extents), offsets),
                ("Mul", (x, factors), product),
                ("Add", (product, offsets), node.output[0]),
            )
        ),
    ]
