"""Where floats become bytes and bytes floats: QuantizeLinear and DequantizeLinear that no group has taken."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Stored
from turnkey.mlf.kernels.literals import c_float
from turnkey.mlf.kernels.quantum import Quantum, quantum_of
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.program import Kernel

if TYPE_CHECKING:
    import onnx

_TO_BYTES = """\
const turnkey_target target = {{{target}}};
idx_t i = 0;
for (; i + TURNKEY_SUM_LANES <= {count}; i += TURNKEY_SUM_LANES)
  turnkey_put_real(turnkey_load_reals(in0 + i) / {scale}, &target, out0 + i, TURNKEY_SUM_LANES);
for (; i < {count}; ++i) turnkey_put_real(turnkey_reals_all(in0[i] / {scale}), &target, out0 + i, 1);"""
_TO_FLOATS = "for (idx_t i = 0; i < {count}; ++i) out0[i] = (float)(in0[i] - ({zero})) * {scale};"


def quantized_border(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """QuantizeLinear and DequantizeLinear of float and bytes by one scale."""
    if node.op_type not in ("QuantizeLinear", "DequantizeLinear"):
        return None
    made = quantum_of(node, graph)
    if made is None or made.axis is not None or made.dtype == "int32" or node.input[0] in graph.constants:
        return None
    return Claim(
        nodes=(node,),
        reads=(node.input[0],),
        make=lambda layouts: _made(node, made, layouts[node.input[0]], graph),
    )


def _made(node: onnx.NodeProto, quantum: Quantum, layout: str, graph: NodeGraph) -> Made:
    to_bytes = node.op_type == "QuantizeLinear"
    statement = (_TO_BYTES if to_bytes else _TO_FLOATS).format(
        count=math.prod(graph.tensors[node.output[0]].shape),
        scale=c_float(quantum.single_scale),
        zero=quantum.single_zero,
        target=quantum.c_target(),
    )
    kernel = Kernel(
        operators=("int8", node.op_type.lower()),
        inputs=("float" if to_bytes else quantum.c_type,),
        outputs=(quantum.c_type if to_bytes else "float",),
        helpers=(vectors(graph.vector_bytes), c_text("bytes")),
        statement=statement,
        kind="quantized_border",
        macs=0,
    )
    return Made(
        kernel=kernel,
        inputs=(Stored(name=node.input[0], layout=layout),),
        outputs=(Stored(name=node.output[0], layout=layout),),
    )
