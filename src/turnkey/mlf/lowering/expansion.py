"""Operators replaced by what they stand for: ONNX function bodies, or other standard operators."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.lowering.batch_normalization import as_product_and_sum, has_known_statistics
from turnkey.mlf.lowering.recurrences import forward_recurrences
from turnkey.mlf.node import is_standard
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx

_DOMAIN = "turnkey.expansion"


def expand(
    model: onnx.ModelProto, tensors: Mapping[str, Tensor], wanted: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto | None:
    """The model with the wanted nodes replaced by their function bodies; None if none of them has one.

    Each node gets a body of its own, since bodies may depend on attributes, types and absent inputs.
    """
    import onnx
    import onnx.inliner

    from turnkey.formats.onnx_file import opset_of

    expanded = onnx.ModelProto()
    expanded.CopyFrom(model)
    opset = opset_of(model)
    constants = {tensor.name for tensor in model.graph.initializer}
    count = 0
    nodes: list[onnx.NodeProto] = []
    for node in expanded.graph.node:
        if not (is_standard(node) and wanted(node)):
            nodes.append(node)
            continue
        rewritten = _rewritten(node, tensors, constants, f"{next(filter(None, node.output))}_turnkey", opset)
        if rewritten is not None:
            nodes += rewritten
            count += 1
            continue
        body = _function_body(node, tensors, opset)
        if body is None:
            nodes.append(node)
            continue
        body.name, body.domain = f"{node.op_type}_{count}", _DOMAIN
        expanded.functions.append(body)
        call = onnx.NodeProto()
        call.CopyFrom(node)
        call.op_type, call.domain = body.name, _DOMAIN
        call.attribute.extend(_defaults(node, opset))
        nodes.append(call)
        count += 1
    if not count:
        return None
    del expanded.graph.node[:]
    expanded.graph.node.extend(nodes)
    if any(node.domain == _DOMAIN for node in nodes):
        if all(item.domain != _DOMAIN for item in expanded.opset_import):
            expanded.opset_import.append(onnx.helper.make_opsetid(_DOMAIN, 1))
        return onnx.inliner.inline_local_functions(expanded)
    return expanded


def _function_body(node: onnx.NodeProto, tensors: Mapping[str, Tensor], opset: int) -> onnx.FunctionProto | None:
    import onnx

    try:
        schema = onnx.defs.get_schema(node.op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    for version in sorted(schema.function_opset_versions, reverse=True):
        if version <= opset:
            return onnx.FunctionProto.FromString(schema.get_function_with_opset_version(version))
    types = []
    for name in node.input:
        kind = onnx.TypeProto()
        if name in tensors:
            tensor = tensors[name]
            kind = onnx.helper.make_tensor_type_proto(dtypes.of_name(tensor.dtype).onnx, tensor.shape)
        types.append(kind.SerializeToString())
    for version in sorted(schema.context_dependent_function_opset_versions, reverse=True):
        if version <= opset:
            content = schema.get_context_dependent_function_with_opset_version(
                version, node.SerializeToString(), types
            )
            return onnx.FunctionProto.FromString(content) if content else None
    return None


def _defaults(node: onnx.NodeProto, opset: int) -> list[onnx.AttributeProto]:
    """Attributes that the node leaves to its schema; a body refers to them by name."""
    import onnx

    schema = onnx.defs.get_schema(node.op_type, opset, "")
    given = {attribute.name for attribute in node.attribute}
    found = []
    for name, attribute in schema.attributes.items():
        if name not in given and attribute.default_value.name:
            default = onnx.AttributeProto()
            default.CopyFrom(attribute.default_value)
            found.append(default)
    return found


def _rewritten(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Container[str], prefix: str, opset: int
) -> list[onnx.NodeProto] | None:
    """The node by other standard operators, where we know a way that has no function body."""
    if has_known_statistics(node, tensors, constants, opset):
        return as_product_and_sum(node, tensors, prefix)
    ways = (_widened_attention, _channel_first_depth, forward_recurrences)
    made = next((made for way in ways if (made := way(node, tensors, prefix)) is not None), None)
    return made if made is not None else _shifted_log_of_sum(node, tensors, prefix, opset)


def _widened_attention(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str
) -> list[onnx.NodeProto] | None:
    """Attention on float16 computed in float32: the standard rounds its result, not each of its steps."""
    import onnx

    half, single = onnx.TensorProto.FLOAT16, onnx.TensorProto.FLOAT
    if node.op_type not in ("Attention", "LinearAttention") or tensors[node.input[0]].dtype != "float16":
        return None
    made = []
    wide = onnx.NodeProto()
    wide.CopyFrom(node)
    for index, name in enumerate(node.input):
        if name and tensors[name].dtype == "float16":
            wide.input[index] = f"{prefix}_wide_in{index}"
            made.append(onnx.helper.make_node("Cast", [name], [wide.input[index]], to=single))
    made.append(wide)
    for index, name in enumerate(node.output):
        if name and tensors[name].dtype == "float16":
            wide.output[index] = f"{prefix}_wide_out{index}"
            made.append(onnx.helper.make_node("Cast", [wide.output[index]], [name], to=half))
    return made


def _channel_first_depth(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str
) -> list[onnx.NodeProto] | None:
    """SpaceToDepth whose channels stay outermost (mode CRD): reshape, transpose, reshape."""
    import onnx

    attributes = {attribute.name: attribute for attribute in node.attribute}
    if node.op_type != "SpaceToDepth" or "mode" not in attributes or attributes["mode"].s != b"CRD":
        return None
    size = attributes["blocksize"].i
    batch, channels, height, width = tensors[node.input[0]].shape
    names = [f"{prefix}_{part}" for part in ("apart_shape", "apart", "turned", "shape")]
    apart = [batch, channels, height // size, size, width // size, size]
    together = list(tensors[node.output[0]].shape)
    return [
        onnx.helper.make_node("Constant", [], [names[0]], value_ints=apart),
        onnx.helper.make_node("Reshape", [node.input[0], names[0]], [names[1]]),
        onnx.helper.make_node("Transpose", [names[1]], [names[2]], perm=[0, 1, 3, 5, 2, 4]),
        onnx.helper.make_node("Constant", [], [names[3]], value_ints=together),
        onnx.helper.make_node("Reshape", [names[2], names[3]], list(node.output)),
    ]


def _shifted_log_of_sum(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str, opset: int
) -> list[onnx.NodeProto] | None:
    """ReduceLogSumExp, from opset 11 on, as max + log(sum(exp(x - max))), which no value makes overflow.

    The maximum is kept finite: of infinities alone, the difference would be NaN.
    """
    import numpy as np
    import onnx
    from onnx import numpy_helper

    if node.op_type != "ReduceLogSumExp" or tensors[node.input[0]].dtype not in ("float32", "float64") or opset < 11:
        return None
    source = tensors[node.input[0]]
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    keeps_axes = attributes.pop("keepdims", 1)
    low, high, axes, most, finite, apart, power, total, logarithm, shape, reshaped = (
        f"{prefix}_{part}"
        for part in ("low", "high", "axes", "most", "finite", "apart", "power", "total", "log", "shape", "reshaped")
    )
    largest = np.finfo(source.dtype).max
    made = [
        onnx.helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.array(value, source.dtype)))
        for name, value in ((low, -largest), (high, largest))
    ]
    further, of_sum = list(node.input[1:]), dict(attributes)
    if "axes" in attributes and opset >= 13:  # an input of ReduceSum since then, of the others later
        made.append(onnx.helper.make_node("Constant", [], [axes], value_ints=of_sum.pop("axes")))
        further = [axes]
    return [
        *made,
        onnx.helper.make_node("ReduceMax", list(node.input), [most], keepdims=1, **attributes),
        onnx.helper.make_node("Clip", [most, low, high], [finite]),
        onnx.helper.make_node("Sub", [source.name, finite], [apart]),
        onnx.helper.make_node("Exp", [apart], [power]),
        onnx.helper.make_node("ReduceSum", [power, *further], [total], keepdims=keeps_axes, **of_sum),
        onnx.helper.make_node("Log", [total], [logarithm]),
        onnx.helper.make_node("Shape", [logarithm], [shape]),
        onnx.helper.make_node("Reshape", [finite, shape], [reshaped]),
        onnx.helper.make_node("Add", [logarithm, reshaped], list(node.output)),
    ]
