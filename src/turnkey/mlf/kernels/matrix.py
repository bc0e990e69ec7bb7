"""A stack of matrices somewhere in a tensor: what a product reads or writes, transpositions being strides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.node import permutation
from turnkey.mlf.tensor import dense_strides

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Matrix:
    """The last two axes are the matrix, those in front the stack.

    Attributes:
        name: of the tensor in memory.
        shape: after transpositions.
        strides: in values, of the axes of ``shape``.
        nodes: transpositions that the strides stand for.
    """

    name: str
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    nodes: tuple[onnx.NodeProto, ...] = ()

    def stacked_as(self, stack: Sequence[int]) -> tuple[int, ...]:
        """Strides along the axes of a larger stack that this one is broadcast to."""
        own = len(self.shape) - 2
        missing = len(stack) - own
        strides = [
            0 if extent == 1 else stride for extent, stride in zip(self.shape[:own], self.strides, strict=False)
        ]
        return (*(0,) * missing, *strides)

    def transposed(self) -> Matrix:
        """The same values with rows and columns exchanged."""
        return Matrix(
            name=self.name,
            shape=(*self.shape[:-2], self.shape[-1], self.shape[-2]),
            strides=(*self.strides[:-2], self.strides[-1], self.strides[-2]),
            nodes=self.nodes,
        )


def read_matrix(name: str, graph: NodeGraph, *, is_left: bool) -> Matrix:
    """An operand of a product, behind a Transpose that nothing else reads. One axis is a row, or a column."""
    shape = graph.tensors[name].shape
    node = graph.producer(name)
    if node is not None and node.op_type == "Transpose" and graph.sole_user(name) is not None:
        source = graph.tensors[node.input[0]].shape
        order = permutation(node, len(source))
        strides = dense_strides(source)
        if len(shape) > 1:
            return Matrix(
                name=node.input[0], shape=shape, strides=tuple(strides[axis] for axis in order), nodes=(node,)
            )
    if len(shape) == 1:
        return Matrix(name=name, shape=(1, *shape) if is_left else (*shape, 1), strides=(1, 1))
    return Matrix(name=name, shape=shape, strides=dense_strides(shape))


def written_matrix(name: str, shape: Sequence[int], graph: NodeGraph, *, may_transpose: bool) -> Matrix:
    """The result of a product, of that shape, in front of a Transpose that leaves its columns side by side."""
    node = graph.sole_user(name)
    if may_transpose and node is not None and node.op_type == "Transpose" and len(shape) > 2:
        order = permutation(node, len(shape))
        if order[-1] == len(shape) - 1:
            strides = dense_strides(graph.tensors[node.output[0]].shape)
            back = tuple(strides[order.index(axis)] for axis in range(len(shape)))
            return Matrix(name=node.output[0], shape=tuple(shape), strides=back, nodes=(node,))
    return Matrix(name=name, shape=tuple(shape), strides=dense_strides(shape))
