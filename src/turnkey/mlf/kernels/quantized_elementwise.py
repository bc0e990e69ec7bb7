"""Element-wise operators on bytes: sums and products of two tensors, and tables for what depends on one byte alone."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from turnkey.mlf.folding import evaluated
from turnkey.mlf.kernels.claim import Claim, Derived, Made, NodeGraph, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.quantized_group import Group, Quanta, chain_of, group_of
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.program import Kernel

if TYPE_CHECKING:
    import onnx

_SIGNS = {"Add": "+", "Sub": "-", "Mul": "*"}
_TABLED = frozenset(
    (
        *("Relu", "LeakyRelu", "Elu", "Selu", "Celu", "Sigmoid", "HardSigmoid", "HardSwish", "Tanh", "Erf", "Exp"),
        *("Sqrt", "Reciprocal", "Neg", "Abs", "Softplus", "Softsign", "Gelu", "Mish", "Clip", "Identity"),
        *("Add", "Sub", "Mul", "Div", "Pow"),
    )
)
"""Operators of one tensor; those of two with a constant of one element beside it."""

_PAIR = """\
const turnkey_target target = {{{target}}};
idx_t i = 0;
for (; i + TURNKEY_SUM_LANES <= {count}; i += TURNKEY_SUM_LANES) {{
  const turnkey_reals a = turnkey_reals_of(turnkey_values_{byte_a}(in0 + i) - ({zero_a})) * {scale_a};
  const turnkey_reals b = turnkey_reals_of(turnkey_values_{byte_b}(in1 + i) - ({zero_b})) * {scale_b};
  turnkey_put_real(a {sign} b, &target, out0 + i, TURNKEY_SUM_LANES);
}}
for (; i < {count}; ++i) {{
  const float a = (float)(in0[i] - ({zero_a})) * {scale_a}, b = (float)(in1[i] - ({zero_b})) * {scale_b};
  turnkey_put_real(turnkey_reals_all(a {sign} b), &target, out0 + i, 1);
}}"""
_TABLE = "for (idx_t i = 0; i < {count}; ++i) out0[i] = in1[(uint8_t)in0[i]];"


def quantized_pair(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Add, Sub and Mul of two dequantised tensors of one shape, quantised again."""
    group = group_of(node, graph, _SIGNS)
    if group is None or group.result is None or len(group.inputs) != 2:
        return None
    left, right = group.inputs
    if left is None or right is None or left.quantum.axis is not None or right.quantum.axis is not None:
        return None
    shapes = {graph.tensors[name].shape for name in (left.name, right.name, group.output)}
    if len(shapes) != 1 or {left.name, right.name} & graph.constants.keys():
        return None
    if "int32" in (left.quantum.dtype, right.quantum.dtype):
        return None
    reads = tuple(dict.fromkeys((left.name, right.name)))
    return Claim(nodes=group.nodes, reads=reads, make=lambda layouts: _made_pair(group, left, right, layouts, graph))


def _made_pair(group: Group, left: Quanta, right: Quanta, layouts: Mapping[str, str], graph: NodeGraph) -> Made:
    result = group.result
    assert result is not None  # a group without one is not claimed
    layout, operator = layouts[left.name], group.operator.op_type
    first, second = left.quantum.scale, right.quantum.scale
    if operator == "Mul":
        factors = result.factor_from(first * second), np.ones(1, np.float32)
    else:
        factors = result.factor_from(first), result.factor_from(second)
    statement = _PAIR.format(
        count=math.prod(graph.tensors[group.output].shape),
        zero_a=left.quantum.single_zero,
        zero_b=right.quantum.single_zero,
        scale_a=c_float(float(factors[0][0])),
        scale_b=c_float(float(factors[1][0])),
        byte_a=left.quantum.c_type,
        byte_b=right.quantum.c_type,
        sign=_SIGNS[operator],
        target=result.c_target(group.low, group.high),
    )
    kernel = Kernel(
        operators=("int8", operator.lower()),
        inputs=(left.quantum.c_type, right.quantum.c_type),
        outputs=(result.c_type,),
        helpers=(vectors(graph.vector_bytes), c_text("bytes")),
        statement=statement,
        kind="quantized_pair",
        macs=0,
    )
    operands = tuple(Stored(name=operand.name, layout=layout) for operand in (left, right))
    return Made(kernel=kernel, inputs=operands, outputs=(Stored(name=group.output, layout=layout),))


def quantized_table(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Whatever happens to each byte alone between two quantisations: a table of 256 bytes, computed at export."""
    group = chain_of(node, graph, _TABLED)
    if group is None or group.result is None or not _keeps_shape(group, graph):
        return None
    source = group.inputs[0]
    if source is None or source.quantum.dtype == "int32" or source.name in graph.constants:
        return None
    table = _table(group, source, graph)
    if table is None:
        return None
    return Claim(
        nodes=group.nodes,
        reads=(source.name,),
        make=lambda layouts: _made_table(group, source, table, layouts[source.name], graph),
    )


def _keeps_shape(group: Group, graph: NodeGraph) -> bool:
    names = (name for link in group.chain for name in link.input[1:] if name)
    return all(graph.constants[name].size == 1 for name in names) and all(
        graph.tensors[link.output[0]].shape == graph.tensors[link.input[0]].shape for link in group.chain
    )


def _table(group: Group, source: Quanta, graph: NodeGraph) -> np.ndarray | None:
    """The result for each byte, by its unsigned value; None where the chain cannot be evaluated."""
    from onnx.helper import make_opsetid  # with onnx: only where a table is made

    result = group.result
    assert result is not None  # a chain without one is not found
    numbers = source.quantum.every_number()
    for link in group.chain:
        operands = {name: graph.constants[name] for name in link.input[1:] if name}
        made = evaluated(link, {**operands, link.input[0]: numbers}, opsets=[make_opsetid("", graph.opset)])
        found = None if made is None else made[link.output[0]]
        if found is None or found.shape != numbers.shape or not np.isfinite(found).all():
            return None
        numbers = found
    return result.bytes_of(numbers)


def _made_table(group: Group, source: Quanta, table: np.ndarray, layout: str, graph: NodeGraph) -> Made:
    count = math.prod(graph.tensors[group.output].shape)
    c_type = f"{table.dtype.name}_t"
    kernel = Kernel(
        operators=("int8", *(link.op_type.lower() for link in group.chain)) if group.chain else ("int8", "requantize"),
        inputs=(source.quantum.c_type, c_type),
        outputs=(c_type,),
        statement=_TABLE.format(count=count),
        kind="quantized_table",
        overwrites=0,
        macs=0,
    )
    operands = (Stored(name=source.name, layout=layout), Derived(name=f"{group.output}.table", array=table))
    return Made(kernel=kernel, inputs=operands, outputs=(Stored(name=group.output, layout=layout),))
