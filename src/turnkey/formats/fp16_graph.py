"""What surrounds the float16 conversion of a graph: its border narrowed, its casts put where they belong."""

from __future__ import annotations

from math import prod

import numpy as np
import onnx
from onnx import TensorProto

from turnkey.formats.onnx_graph import graphs_of

LARGEST_FLOAT16 = float(np.finfo(np.float16).max)
_LARGE_ELEMENTS = 1 << 16
_NARROWED = {TensorProto.INT64: TensorProto.INT32, TensorProto.DOUBLE: TensorProto.FLOAT16}


def set_weights_aside(graph: onnx.GraphProto) -> dict[str, np.ndarray]:
    """Empty the large float32 initialisers, in place; returns what they held.

    The converter handles weights element by element through index arrays of eight bytes each, ten seconds for a
    hundred million of them. It needs to see which become float16, not what they hold.
    """
    aside = {}
    for tensor in graph.initializer:
        if tensor.data_type == TensorProto.FLOAT and prod(tensor.dims) >= _LARGE_ELEMENTS:
            aside[tensor.name] = onnx.numpy_helper.to_array(tensor)
            tensor.ClearField("raw_data")
            tensor.ClearField("float_data")
            tensor.dims[:] = [0]
    return aside


def put_weights_back(graph: onnx.GraphProto, aside: dict[str, np.ndarray]) -> None:
    """Fill the initialisers again, in place, in the element type that they have now; empties ``aside``.

    As the converter does it: finite values beyond float16 are clipped, infinities stay.
    """
    for tensor in graph.initializer:
        if tensor.name not in aside:
            continue
        values = aside.pop(tensor.name)
        tensor.dims[:] = values.shape
        if tensor.data_type == TensorProto.FLOAT16:
            with np.errstate(over="ignore"):
                narrow = values.astype(np.float16)
            clipped = np.isinf(narrow) & np.isfinite(values)
            narrow[clipped] = np.copysign(LARGEST_FLOAT16, values[clipped])
            values = narrow
        tensor.raw_data = values.tobytes()
    del graph.value_info[:]  # they hold the shapes of the emptied weights, and follow from the graph


def narrow_border(graph: onnx.GraphProto) -> None:
    """Inputs int64 to int32 and float64 to float16, outputs float64 to float16; the graph inside keeps its types."""
    weights = {tensor.name for tensor in graph.initializer}
    outputs = {value.name for value in graph.output}
    casts = []
    renames: dict[str, str] = {}
    for value in graph.input:
        inner_type = value.type.tensor_type.elem_type
        if value.name in weights or value.name in outputs or inner_type not in _NARROWED:
            continue
        value.type.tensor_type.elem_type = _NARROWED[inner_type]
        renames[value.name] = f"{value.name}_widened"
        casts.append(onnx.helper.make_node("Cast", [value.name], [renames[value.name]], to=inner_type))
    for inner in graphs_of(graph):
        for node in inner.node:
            for position, name in enumerate(node.input):
                node.input[position] = renames.get(name, name)
    graph.node.extend(casts)
    for value in graph.output:
        if value.type.tensor_type.elem_type != TensorProto.DOUBLE:
            continue
        wide = f"{value.name}_wide"
        for inner in graphs_of(graph):
            for node in inner.node:
                for names in (node.input, node.output):
                    for position, name in enumerate(names):
                        names[position] = wide if name == value.name else name
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
        graph.node.append(onnx.helper.make_node("Cast", [wide], [value.name], to=TensorProto.FLOAT16))


def write_constants_as_tensors(graph: onnx.GraphProto) -> None:
    """``Constant`` with ``value_float`` or ``value_floats`` as one with ``value``, the only form that is converted."""
    for inner in graphs_of(graph):
        for node in inner.node:
            if node.op_type != "Constant" or node.attribute[0].name not in ("value_float", "value_floats"):
                continue
            number = onnx.helper.get_attribute_value(node.attribute[0])
            tensor = onnx.numpy_helper.from_array(np.asarray(number, dtype=np.float32), node.output[0])
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("value", tensor))


def move_casts_home(graph: onnx.GraphProto) -> None:
    """The converter adds all casts to the outermost graph: those of inner values belong where the value is made."""
    homes = {
        name: inner
        for inner in graphs_of(graph)
        if inner is not graph
        for name in (*(value.name for value in inner.input), *(name for node in inner.node for name in node.output))
    }
    own = {name for node in graph.node for name in node.output} | {value.name for value in graph.input}
    for position in reversed(range(len(graph.node))):
        node = graph.node[position]
        if node.op_type == "Cast" and node.input[0] not in own and node.input[0] in homes:
            homes[node.input[0]].node.append(node)
            del graph.node[position]


def drop_repeated_casts(graph: onnx.GraphProto) -> None:
    """The converter adds a cast per use: of those that make the same value the first stays, in place."""
    made: set[str] = set()
    repeated = []
    for position, node in enumerate(graph.node):
        if node.op_type == "Cast" and node.output[0] in made:
            repeated.append(position)
        made.update(node.output)
    for position in reversed(repeated):
        del graph.node[position]
