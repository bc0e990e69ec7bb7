"""Operators replaced by what they stand for: ONNX function bodies, and reversed recurrences by forward ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import onnx

_DOMAIN = "turnkey.expansion"
_STANDARD = ("", "ai.onnx")


def expand(
    model: onnx.ModelProto, tensors: Mapping[str, Tensor], wanted: Callable[[onnx.NodeProto], bool]
) -> onnx.ModelProto | None:
    """The model with the wanted nodes replaced by their function bodies; None if none of them has one.

    Each node gets a body of its own, since bodies may depend on attributes, types and absent inputs.
    """
    import onnx
    import onnx.inliner

    expanded = onnx.ModelProto()
    expanded.CopyFrom(model)
    opset = next((item.version for item in model.opset_import if item.domain in _STANDARD), 1)
    count = 0
    nodes: list[onnx.NodeProto] = []
    for node in expanded.graph.node:
        if not (node.domain in _STANDARD and wanted(node)):
            nodes.append(node)
            continue
        rewritten = _rewritten(node, tensors, f"{next(filter(None, node.output))}_turnkey")
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


def _rewritten(node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str) -> list[onnx.NodeProto] | None:
    """The node by other standard operators, where we know a way that has no function body."""
    ways = (_widened_attention, _channel_first_depth, _forward_recurrences)
    return next((made for way in ways if (made := way(node, tensors, prefix)) is not None), None)


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


_GATES = {"GRU": 3, "RNN": 1, "LSTM": 4}


def _forward_recurrences(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], prefix: str
) -> list[onnx.NodeProto] | None:
    """A reversed or bidirectional recurrence as forward ones over reversed time; None for anything else.

    Sequences that end before the others (``sequence_lens``) are left alone: their reversal depends on values.
    """
    import onnx

    attributes = {attribute.name: attribute for attribute in node.attribute}
    direction = attributes["direction"].s.decode() if "direction" in attributes else "forward"
    given = [*node.input, *[""] * (8 - len(node.input))]
    if node.op_type not in _GATES or direction not in ("reverse", "bidirectional") or given[4]:
        return None
    if "layout" in attributes and attributes["layout"].i:
        return None
    steps = tensors[given[0]].shape[0]
    parts = ["forward", "reverse"] if direction == "bidirectional" else ["reverse"]
    made: list[onnx.NodeProto] = []
    results: list[list[str]] = [[] for _ in node.output]
    for index, part in enumerate(parts):
        base = f"{prefix}_{part}"
        inputs = [given[0]]
        if part == "reverse":
            inputs = [f"{base}_x"]
            made += _reversed(given[0], inputs[0], base, steps=steps)
        for position, name in enumerate(given[1:], start=1):
            inputs.append(_direction(name, position, index, len(parts), base, made))
        outputs = [f"{base}_out{i}" if name else "" for i, name in enumerate(node.output)]
        while inputs and not inputs[-1]:
            inputs.pop()
        single = onnx.helper.make_node(node.op_type, inputs, outputs)
        single.attribute.extend(_of_direction(attributes, index, len(parts)))
        made.append(single)
        for i, name in enumerate(outputs):
            if name and i == 0 and part == "reverse":
                made += _reversed(name, f"{name}_in_time", name, steps=steps)
                name = f"{name}_in_time"
            results[i].append(name)
    for i, name in enumerate(node.output):
        if name:  # directions lie on axis 1 of Y and on axis 0 of the last states
            made.append(onnx.helper.make_node("Concat", results[i], [name], axis=1 if i == 0 else 0))
    return made


def _reversed(source: str, target: str, base: str, *, steps: int) -> list[onnx.NodeProto]:
    """Time, the first axis, from its end to its beginning."""
    import onnx

    indices = f"{base}_indices"
    return [
        onnx.helper.make_node("Constant", [], [indices], value_ints=list(range(steps - 1, -1, -1))),
        onnx.helper.make_node("Gather", [source, indices], [target], axis=0),
    ]


def _direction(name: str, position: int, index: int, count: int, base: str, made: list[onnx.NodeProto]) -> str:
    """One direction's part of a weight or state, which lie along axis 0."""
    import onnx

    if not name or count == 1:
        return name
    target = f"{base}_in{position}"
    starts, ends, axes = (f"{target}_{part}" for part in ("starts", "ends", "axes"))
    for constant, value in ((starts, index), (ends, index + 1), (axes, 0)):
        made.append(onnx.helper.make_node("Constant", [], [constant], value_ints=[value]))
    made.append(onnx.helper.make_node("Slice", [name, starts, ends, axes], [target]))
    return target


def _of_direction(
    attributes: Mapping[str, onnx.AttributeProto], index: int, count: int
) -> Sequence[onnx.AttributeProto]:
    """Attributes of one forward recurrence; activations are listed direction by direction."""
    import onnx

    found = []
    for name, attribute in attributes.items():
        if name == "direction":
            continue
        copy = onnx.AttributeProto()
        copy.CopyFrom(attribute)
        for values in (copy.strings, copy.floats):
            if name.startswith("activation") and count == 2 and len(values) % 2 == 0:
                half = len(values) // 2
                values[:] = values[index * half : (index + 1) * half]
        found.append(copy)
    return found
