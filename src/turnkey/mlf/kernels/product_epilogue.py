"""What follows a matrix product and is computed while its tile is in registers: scale, bias, residual, activation."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.activation import Activation, activation_behind, scalar
from turnkey.mlf.kernels.claim import NodeGraph, Operand, Stored

if TYPE_CHECKING:
    import onnx


_SMALLEST, _LARGEST = 2.0**-126, 2.0**127
"""Factors of two that are one as a normal float32; else their product would be 0 or infinite before its time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProductEpilogue:
    """(product * scale + bias[column] + residual), activated.

    Attributes:
        nodes: that it covers.
        output: the last of their results; the product's own where there are none.
        bias: one value per column.
        residual: one value per value of the result.
    """

    output: str
    nodes: tuple[onnx.NodeProto, ...] = ()
    scale: float = 1.0
    bias: Operand | None = None
    residual: Operand | None = None
    activation: Activation = field(default_factory=Activation)


def product_epilogue(
    name: str,
    graph: NodeGraph,
    *,
    columns: int,
    bias: Operand | None = None,
    residual: Operand | None = None,
    scale: float = 1.0,
) -> ProductEpilogue:
    """The longest chain behind a product that its kernel can take over.

    Args:
        columns: of the product; a vector on its right leaves one, which is no axis of the tensor.
        bias, residual, scale: what the product's own node has already.
    """
    shape = graph.tensors[name].shape
    nodes: list[onnx.NodeProto] = []
    output = name
    while (user := graph.sole_user(output)) is not None:
        if user.op_type not in ("Add", "Mul", "Div") or graph.tensors[user.output[0]].shape != shape:
            break
        other = user.input[1] if user.input[0] == output else user.input[0]
        if user.op_type != "Add":
            factor = scalar(other, graph)
            if not factor or bias or residual or (user.op_type == "Div" and user.input[0] != output):
                break
            scaled = scale * factor if user.op_type == "Mul" else scale / factor
            if not _SMALLEST <= abs(scaled) <= _LARGEST:
                break
            scale = scaled
        elif bias is None and residual is None and is_per_column(other, columns, graph):
            bias = Stored(name=other)
        elif residual is None and other not in graph.constants and other != output:
            if graph.tensors[other].shape != shape:
                break
            residual = Stored(name=other)
        else:
            break
        nodes.append(user)
        output = user.output[0]
    activated = activation_behind(output, graph)
    activation = Activation()
    if activated is not None:
        nodes += activated.nodes
        output, activation = activated.output, activated.activation
    return ProductEpilogue(
        output=output, nodes=tuple(nodes), scale=scale, bias=bias, residual=residual, activation=activation
    )


def is_per_column(name: str, columns: int, graph: NodeGraph) -> bool:
    """Whether a tensor is a constant of one value for each column, and nothing else."""
    array = graph.constants.get(name)
    return array is not None and array.shape[-1:] == (columns,) and array.size == columns
