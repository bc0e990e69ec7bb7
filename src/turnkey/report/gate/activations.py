"""How much memory the intermediate tensors of an ONNX graph need: their lifetimes, planned into one workspace.

A property of the graph and the shapes of its inputs, not of a runtime: it is the same on every machine, which is what
a gate needs. Tensors live from the node that writes them to the last that reads them, in the order of the file;
inputs, outputs and weights are not counted. Graphs with nested graphs (``If``, ``Loop``) or shapes that inference
cannot tell have no figure.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from pathlib import Path

from turnkey.mlf.memory_plan import Buffer, plan

_ALIGN = 64
_EXACT_SEARCH = 2_000
"""Placements tried beyond best fit: the figure must be quick to have, and is the same on every host all the same."""


def planned_bytes(path: Path, *, shapes: Mapping[str, tuple[int, ...]]) -> int | None:
    """Bytes of the workspace for one run on inputs of these shapes; None where that cannot be told."""
    import onnx

    from turnkey.formats.onnx_file import load_graph

    model = load_graph(path)
    if model.functions:
        model = onnx.inliner.inline_local_functions(model)
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        for dim, extent in zip(dims, shapes.get(value.name, ()), strict=False):
            dim.dim_value = extent
    del model.graph.value_info[:]
    try:
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
    except onnx.shape_inference.InferenceError:
        return None
    buffers = _buffers(model.graph)
    return None if buffers is None else plan(buffers, align=_ALIGN, budget=_EXACT_SEARCH).workspace


def _buffers(graph: object) -> list[Buffer] | None:
    nodes = graph.node  # type: ignore[attr-defined]
    if any(attribute.HasField("g") for node in nodes for attribute in node.attribute):
        return None
    sizes = {value.name: _bytes(value) for value in graph.value_info}  # type: ignore[attr-defined]
    outputs = {value.name for value in graph.output}  # type: ignore[attr-defined]
    last = {name: step for step, node in enumerate(nodes) for name in node.input}
    buffers = []
    for step, node in enumerate(nodes):
        for name in node.output:
            if not name or name in outputs:
                continue
            size = sizes.get(name)
            if size is None:
                return None
            buffers.append(Buffer(name=name, bytes=size, first=step, last=last.get(name, step)))
    return buffers


def _bytes(value: object) -> int | None:
    from onnx import helper

    tensor = value.type.tensor_type  # type: ignore[attr-defined]
    if not tensor.HasField("shape") or not all(dim.HasField("dim_value") for dim in tensor.shape.dim):
        return None
    return int(
        prod(dim.dim_value for dim in tensor.shape.dim) * helper.tensor_dtype_to_np_dtype(tensor.elem_type).itemsize
    )
