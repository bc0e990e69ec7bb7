"""What a product of bytes computes with: weights as whole numbers, scales, bias and the quantum of its result.

Read from operators between DequantizeLinear and QuantizeLinear (or with a result of floats), or from ONNX's operators
on whole numbers: QLinearConv, QLinearMatMul, ConvInteger, MatMulInteger.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.quantized_group import Group, Quanta
from turnkey.mlf.kernels.quantum import Quantum, quantum
from turnkey.mlf.node import attribute

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Numbers:
    """What a product computes with.

    Attributes:
        source: name of the bytes; ``source_type`` their C type; zero: their zero point, or the tensor that holds it.
        weights: whole numbers without zero point, shape (columns, depth): depth by place of the window, then channel.
        bias: added to sums; None for none.
        scale: from a sum to the result, one per column; None where sums are the result.
        result: how the result is quantised; None for floats or sums. low, high: bounds of a rectifier.
        output, output_type: the result's tensor and C type.
    """

    source: str
    source_type: str
    zero: int | str
    weights: np.ndarray
    bias: np.ndarray | None
    scale: np.ndarray | None
    result: Quantum | None
    output: str
    output_type: str
    low: float | None = None
    high: float | None = None

    @property
    def is_wide(self) -> bool:
        """Whether weights need 16 bits: bytes around a zero point of their own may."""
        return bool((self.weights < -128).any() or (self.weights > 127).any())

    def c_target(self) -> str:
        """The initialiser of a ``turnkey_target``."""
        if self.result is not None:
            return f"{{{self.result.c_target(self.low, self.high)}}}"
        return "{TURNKEY_TO_SUMS, 0.0f, 0.0f, 0}" if self.scale is None else "{TURNKEY_TO_FLOATS, 0.0f, 0.0f, 0}"


def numbers_of_group(group: Group, graph: NodeGraph) -> Numbers | None:
    source, weight = group.inputs[0], group.inputs[1]
    if source is None or weight is None or weight.name not in graph.constants or source.quantum.axis is not None:
        return None
    operator = group.operator
    if operator.op_type == "Gemm" and (
        attribute(operator, "transA", 0)
        or attribute(operator, "alpha", 1.0) != 1
        or attribute(operator, "beta", 1.0) != 1
    ):
        return None
    matrix = _columns_first(operator, weight, graph)
    if matrix is None:
        return None
    weights, scales = matrix
    product = np.float32(source.quantum.single_scale) * scales.astype(np.float32)
    bias = None
    if len(operator.input) > 2 and operator.input[2]:
        bias = _bias(group, graph, product)
        if bias is None:
            return None
    return Numbers(
        source=source.name,
        source_type=source.quantum.c_type,
        zero=source.quantum.single_zero,
        weights=weights,
        bias=bias,
        scale=group.result.factor_from(product) if group.result else product,
        result=group.result,
        output=group.output,
        output_type=group.result.c_type if group.result else "float",
        low=group.low,
        high=group.high,
    )


def _bias(group: Group, graph: NodeGraph, product: np.ndarray) -> np.ndarray | None:
    """The bias in quanta of the product; None where it is computed, or no such number."""
    name, operand = group.operator.input[2], group.inputs[2]
    if operand is not None:
        stored = graph.constants.get(operand.name)
        if stored is None:
            return None
        numbers = operand.quantum.values(stored) * operand.quantum.scale.astype(np.float64)
    elif name in graph.constants:
        numbers = graph.constants[name].astype(np.float64)
    else:
        return None
    if numbers.size != 1 and (numbers.size != product.size or numbers.shape[-1] != product.size):
        return None  # one for each row, or for each value
    with np.errstate(divide="ignore", invalid="ignore"):
        quanta = np.rint(np.broadcast_to(numbers.reshape(-1), product.shape) / product.astype(np.float64))
    if not np.isfinite(quanta).all():
        return None
    return np.clip(quanta, -(1 << 30), 1 << 30).astype(np.int32)


def numbers_of_operator(node: onnx.NodeProto, graph: NodeGraph) -> Numbers | None:
    """One of ONNX's own operators on whole numbers, with constant weights; None for anything else."""
    if node.op_type in ("QLinearConv", "QLinearMatMul"):
        names = [*node.input, ""]
        source, weight = _quanta(names[0:3], graph), _quanta(names[3:6], graph, axis=0 if is_convolution(node) else 1)
        result = quantum(names[6], names[7], graph.tensors[node.output[0]].dtype, graph)
        if source is None or weight is None or result is None or weight.name not in graph.constants:
            return None
        found = _columns_first(node, weight, graph)
        bias = graph.constants.get(names[8])
        if found is None or source.quantum.axis is not None or (names[8] and bias is None):
            return None
        weights, scales = found
        product = np.float32(source.quantum.single_scale) * scales.astype(np.float32)
        return Numbers(
            source=source.name,
            source_type=source.quantum.c_type,
            zero=source.quantum.single_zero,
            weights=weights,
            bias=bias,
            scale=result.factor_from(product),
            result=result,
            output=node.output[0],
            output_type=result.c_type,
        )
    if node.op_type not in ("ConvInteger", "MatMulInteger"):
        return None
    names = [*node.input, "", ""]
    stored, source_type = graph.constants.get(names[1]), graph.tensors[names[0]].dtype
    zeros = graph.constants.get(names[3]) if names[3] else np.zeros(1, np.int32)
    if stored is None or zeros is None or source_type not in ("uint8", "int8") or stored.dtype.itemsize != 1:
        return None
    if names[2] and graph.tensors[names[2]].bytes != 1:
        return None
    whole = Quantum(
        scale=np.ones(zeros.size, np.float32),
        zero=zeros.reshape(-1).astype(np.int32),
        dtype=stored.dtype.name,
        axis=None if zeros.size == 1 else (0 if is_convolution(node) else stored.ndim - 1),
    )
    found = _columns_first(node, Quanta(name=names[1], quantum=whole), graph)
    constant = graph.constants.get(names[2]) if names[2] else np.zeros(1, np.int32)
    if found is None:
        return None
    return Numbers(
        source=names[0],
        source_type=f"{source_type}_t",
        zero=names[2] if constant is None else int(constant.reshape(-1)[0]),
        weights=found[0],
        bias=None,
        scale=None,
        result=None,
        output=node.output[0],
        output_type="int32_t",
    )


def is_convolution(node: onnx.NodeProto) -> bool:
    return node.op_type in ("Conv", "QLinearConv", "ConvInteger")


def _quanta(names: list[str], graph: NodeGraph, *, axis: int | None = None) -> Quanta | None:
    made = quantum(names[1], names[2], graph.tensors[names[0]].dtype, graph, axis=axis)
    return None if made is None else Quanta(name=names[0], quantum=made)


def _columns_first(node: onnx.NodeProto, weight: Quanta, graph: NodeGraph) -> tuple[np.ndarray, np.ndarray] | None:
    """Weights as (columns, depth), and a scale for each column; None where scales lie along the depth."""
    stored = graph.constants[weight.name]
    numbers, across = weight.quantum.values(stored), weight.quantum.axis
    if is_convolution(node):
        columns, along = np.moveaxis(numbers, 1, -1).reshape(numbers.shape[0], -1), 0
    elif numbers.ndim != 2:
        return None
    elif node.op_type == "Gemm" and attribute(node, "transB", 0):
        columns, along = numbers, 0
    else:
        columns, along = numbers.T, 1
    if across is not None and across != along:
        return None
    return columns, np.broadcast_to(weight.quantum.scale, (columns.shape[0],))
