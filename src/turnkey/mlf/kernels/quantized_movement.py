"""Operators that move bytes: between equal quantisations they need no numbers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Operand, Stored
from turnkey.mlf.kernels.quantized_group import Group, Quanta, chain_of, group_of
from turnkey.mlf.node import attribute, permutation
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import dense_strides

if TYPE_CHECKING:
    import onnx

_MOVES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"})


def quantized_move(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Views and transpositions between two equal quantisations, and Concat between any."""
    group = chain_of(node, graph, _MOVES)
    if group is None or not group.chain:
        return _concat(node, graph)
    source = group.inputs[0]
    if source is None or group.result is None or not source.quantum.is_same(group.result):
        return None
    turns = [link for link in group.chain if link.op_type == "Transpose"]
    if len(turns) > 1:
        return None
    return Claim(
        nodes=group.nodes,
        reads=(source.name,),
        make=lambda layouts: _moved(group, source, turns[0] if turns else None, graph),
    )


def _moved(group: Group, source: Quanta, turn: onnx.NodeProto | None, graph: NodeGraph) -> Made:
    byte = source.quantum.c_type
    if turn is None:
        statement = f"memcpy(out0, in0, {math.prod(graph.tensors[group.output].shape)});"
    else:
        shape = graph.tensors[turn.input[0]].shape
        order = permutation(turn, len(shape))
        statement = _turned(shape, order, byte)
    kernel = Kernel(
        operators=("int8", *(link.op_type.lower() for link in group.chain)),
        inputs=(byte,),
        outputs=(byte,),
        statement=statement,
        includes=("string.h",),
        kind="quantized_move",
        macs=0,
    )
    return Made(kernel=kernel, inputs=(Stored(name=source.name),), outputs=(Stored(name=group.output),))


def _turned(shape: Sequence[int], order: Sequence[int], byte: str) -> str:
    """Loops over the result's axes, which read by the source's strides."""
    strides = dense_strides(shape)
    lines = [f"{byte} *to = out0;"]
    for index, axis in enumerate(order):
        lines.append(f"{'  ' * index}for (idx_t i{index} = 0; i{index} < {shape[axis]}; ++i{index})")
    place = " + ".join(f"i{index} * {strides[axis]}" for index, axis in enumerate(order))
    return "\n".join((*lines, f"{'  ' * len(order)}*to++ = in0[{place}];"))


def _concat(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    group = group_of(node, graph, ("Concat",))
    if group is None or group.result is None or len(group.chain) > 1:
        return None
    sources = [item for item in group.inputs if item is not None and item.quantum.axis is None]
    if len(sources) != len(group.inputs) or any(item.quantum.dtype == "int32" for item in sources):
        return None
    if any(item.name in graph.constants for item in sources):
        return None
    reads = tuple(dict.fromkeys(item.name for item in sources))
    return Claim(nodes=group.nodes, reads=reads, make=lambda layouts: _joined(group, sources, graph))


def _joined(group: Group, sources: Sequence[Quanta], graph: NodeGraph) -> Made:
    """Each source's bytes, through a table where its quantisation is another than the result's."""
    result = group.result
    assert result is not None  # a group without one is not claimed
    target = graph.tensors[group.output].shape
    axis = attribute(group.operator, "axis") % len(target)
    outer, row = math.prod(target[:axis]), math.prod(target[axis:])
    operands: list[Operand] = [Stored(name=item.name) for item in sources]
    types = [item.quantum.c_type for item in sources]
    lines, start = [], 0
    for index, item in enumerate(sources):
        count = math.prod(graph.tensors[item.name].shape[axis:])
        places = f"out0 + n * {row} + {start}", f"in{index} + n * {count}"
        if item.quantum.is_same(result):
            lines.append(f"  memcpy({places[0]}, {places[1]}, {count});")
        else:
            table = f"in{len(operands)}"
            operands.append(Derived(name=f"{item.name}.table", array=result.bytes_of(item.quantum.every_number())))
            types.append(result.c_type)
            to, source = f"out0[n * {row} + {start} + i]", f"in{index}[n * {count} + i]"
            lines.append(f"  for (idx_t i = 0; i < {count}; ++i) {to} = {table}[(uint8_t){source}];")
        start += count
    kernel = Kernel(
        operators=("int8", "concat"),
        inputs=tuple(types),
        outputs=(result.c_type,),
        statement="\n".join((f"for (idx_t n = 0; n < {outer}; ++n) {{", *lines, "}")),
        includes=("string.h",),
        kind="quantized_move",
        macs=0,
    )
    return Made(kernel=kernel, inputs=tuple(operands), outputs=(Stored(name=group.output),))
