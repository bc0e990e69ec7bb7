"""Names and shapes at the border of an exported graph: those of the sample, whatever the exporter called them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import onnx

from turnkey.formats.onnx_graph import graphs_of
from turnkey.model.signature import Dimension


def name_border(graph: onnx.GraphProto, *, input_names: Sequence[str], output_names: Sequence[str]) -> None:
    """Rename the inputs and outputs of a graph, by position, in place.

    An output that is also an input, an initialiser or an earlier output gets a value of its own by ``Identity``. Names
    of values are unique in ONNX: an output with the name of an input (a cache that goes in and out) gets ``.out``.

    Raises:
        ValueError: the graph has another number of inputs or outputs.
    """
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    if [value.name for value in inputs] == [name for name in input_names if name in {v.name for v in inputs}]:
        # TorchScript names inputs itself and drops those that the model does not use: nothing to do by position.
        input_names = [value.name for value in inputs]
    if len(inputs) != len(input_names) or len(graph.output) != len(output_names):
        raise ValueError(
            f"the file has {len(inputs)} inputs and {len(graph.output)} outputs, "
            f"the model {len(input_names)} and {len(output_names)}"
        )
    _separate_outputs(graph, taken={*weights, *(value.name for value in inputs)})
    output_names = [f"{name}.out" if name in input_names else name for name in output_names]
    renames = {value.name: name for value, name in zip(inputs, input_names, strict=True)}
    renames |= {value.name: name for value, name in zip(graph.output, output_names, strict=True)}
    used = _value_names(graph)
    for name in set(renames.values()) & used - set(renames):
        renames[name] = _unused(f"{name}_inner", used)  # an inner value has the name that a border value needs
    _rename(graph, renames)


def name_dimensions(graph: onnx.GraphProto, shapes: Sequence[Sequence[Dimension | None]]) -> None:
    """Write known extents and symbols into the shapes of the outputs, by position; None leaves a dimension alone."""
    for value, known in zip(graph.output, shapes, strict=True):
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, known if len(known) == len(dims) else (), strict=False):
            if isinstance(extent, str):
                dim.dim_param = extent
            elif isinstance(extent, int) and not dim.HasField("dim_value"):
                dim.dim_value = extent


def _separate_outputs(graph: onnx.GraphProto, *, taken: set[str]) -> None:
    used = _value_names(graph)
    for value in graph.output:
        if value.name in taken:
            own = _unused(f"{value.name}_out", used)
            graph.node.append(onnx.helper.make_node("Identity", [value.name], [own]))
            value.name = own
        taken.add(value.name)


def _value_names(graph: onnx.GraphProto) -> set[str]:
    names: set[str] = set()
    for inner in graphs_of(graph):
        names.update(value.name for value in (*inner.input, *inner.output, *inner.value_info))
        names.update(tensor.name for tensor in inner.initializer)
        for node in inner.node:
            names.update((*node.input, *node.output))
    return names


def _unused(wanted: str, used: set[str]) -> str:
    name, count = wanted, 0
    while name in used:
        count += 1
        name = f"{wanted}_{count}"
    used.add(name)
    return name


def _rename(graph: onnx.GraphProto, renames: Mapping[str, str]) -> None:
    for inner in graphs_of(graph):
        for named in (*inner.input, *inner.output, *inner.value_info, *inner.initializer):
            named.name = renames.get(named.name, named.name)
        for node in inner.node:
            for names in (node.input, node.output):
                for position, name in enumerate(names):
                    names[position] = renames.get(name, name)
