"""Weights and activations of an ONNX file as float16.

The conversion is ONNX Runtime's (``onnxruntime.transformers.float16``). Around it: operators that lose their meaning
in float16 stay in float32, inputs and outputs are narrowed to what the guide promises (float32 and float64 to
float16, int64 to int32) unless they are to be kept, and nodes are put back into an order that ONNX accepts.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from turnkey.errors import ConversionError, InputError
from turnkey.formats.format import Conversion
from turnkey.formats.onnx_agreement import one_line
from turnkey.formats.onnx_file import check_file, load_graph, load_model, opset_of, save_model
from turnkey.formats.onnx_fp16 import Fp16Settings
from turnkey.formats.onnx_graph import foreign_operators, graphs_of, nodes_of, tensors_of
from turnkey.formats.onnx_load_probe import LoadCrash, load_refusal

_NARROWED = {TensorProto.INT64: TensorProto.INT32, TensorProto.DOUBLE: TensorProto.FLOAT16}
_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


def convert_to_fp16(parent: Path, path: Path, settings: Fp16Settings) -> Conversion:
    """Write the float16 form of ``parent`` to ``path``.

    Raises:
        InputError: the parent is not a readable ONNX file.
        ConversionError: it holds fused operators, cannot be converted, or the result is not valid.
    """
    model = load_model(parent)
    _refuse_fused(model, parent)
    known = {node.op_type for node in nodes_of(model)}
    notes = [f"--block {op}: the model has no such operator" for op in settings.block if op not in known]
    clipped = _beyond_float16(model)
    if clipped:
        notes.append(f"weights beyond float16 were clipped to {_LARGEST_FLOAT16:g}: {', '.join(clipped)}")
    opset = opset_of(model)
    try:
        _convert(model, parent, path, settings)
    except LoadCrash:
        # The crash that we know needs a float16 Transpose: without one the file loads.
        careful = replace(settings, block=(*settings.block, "Transpose"))
        try:
            _convert(load_model(parent), parent, path, careful)
        except LoadCrash as crash:
            raise ConversionError(
                f"{path.name} cannot be made: ONNX Runtime does not survive it",
                evidence=str(crash),
                remedy="name the operators to keep in float32: convert-fp16 --block OP",
            ) from crash
        notes.append("Transpose stays in float32: with it ONNX Runtime crashes while loading the file")
    return Conversion(
        path=path,
        exporter="onnxruntime-float16",
        notes=tuple(notes),
        facts={"opset": opset, "downcast_applied": not settings.keep_io},
    )


def _convert(model: onnx.ModelProto, parent: Path, path: Path, settings: Fp16Settings) -> None:
    """Convert a model, which is used up, and write it if ONNX Runtime loads the result.

    Raises:
        ConversionError: it cannot be converted, or the result is not valid.
        LoadCrash: ONNX Runtime dies on the result.
    """
    with _import_path_kept():
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    remedy = "name the operators to keep in float32: convert-fp16 --block OP"
    try:
        _write_constants_as_tensors(model.graph)
        # The converter needs to know every type, but inference serialises the model, which protobuf refuses beyond
        # 2 GiB: it works on the graph without external weights.
        inferred = onnx.shape_inference.infer_shapes(load_graph(parent))
        del model.graph.value_info[:]
        model.graph.value_info.extend(inferred.graph.value_info)
        converted = convert_float_to_float16(
            model,
            keep_io_types=settings.keep_io,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *settings.block],
            disable_shape_infer=True,
        )
        if not settings.keep_io:
            _narrow_border(converted.graph)
        _move_casts_home(converted.graph)
        for graph in graphs_of(converted.graph):
            _put_in_order(graph)
    except Exception as error:
        raise ConversionError(
            f"{path.name} cannot be made: the float16 conversion fails", evidence=one_line(error), remedy=remedy
        ) from error

    def refuse_broken(written: Path) -> None:
        try:
            check_file(written)
            refusal = load_refusal(written)
        except InputError as error:
            refusal = error.evidence
        if refusal is not None:
            raise ConversionError(
                f"{path.name} cannot be made: the float16 form is not a valid graph",
                evidence=one_line(refusal),
                remedy=remedy,
            )

    save_model(converted, path, check=refuse_broken)


@contextmanager
def _import_path_kept() -> Iterator[None]:
    """``onnxruntime.transformers`` appends its own directory to ``sys.path``, where it would shadow user modules."""
    before = list(sys.path)
    try:
        yield
    finally:
        sys.path[:] = before


def _refuse_fused(model: onnx.ModelProto, parent: Path) -> None:
    foreign = foreign_operators(model)
    if foreign:
        raise ConversionError(
            f"{parent.name} holds operators whose float16 form nobody defines",
            evidence=", ".join(foreign),
            remedy="convert before fusing: optimize-ort --level basic convert-fp16",
        )


def _beyond_float16(model: onnx.ModelProto) -> list[str]:
    """Names of float32 weights with finite elements that float16 cannot hold; masks of -3e38 are meant so."""
    names = []
    for tensor in tensors_of(model):
        if tensor.data_type != TensorProto.FLOAT:
            continue
        values = np.abs(onnx.numpy_helper.to_array(tensor))
        if values.size > 1 and (np.isfinite(values) & (values > _LARGEST_FLOAT16)).any():
            names.append(tensor.name or "a constant")
    return names


def _narrow_border(graph: onnx.GraphProto) -> None:
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


def _write_constants_as_tensors(graph: onnx.GraphProto) -> None:
    """``Constant`` with ``value_float`` or ``value_floats`` as one with ``value``, the only form that is converted."""
    for inner in graphs_of(graph):
        for node in inner.node:
            if node.op_type != "Constant" or node.attribute[0].name not in ("value_float", "value_floats"):
                continue
            number = onnx.helper.get_attribute_value(node.attribute[0])
            tensor = onnx.numpy_helper.from_array(np.asarray(number, dtype=np.float32), node.output[0])
            del node.attribute[:]
            node.attribute.append(onnx.helper.make_attribute("value", tensor))


def _move_casts_home(graph: onnx.GraphProto) -> None:
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


def _put_in_order(graph: onnx.GraphProto) -> None:
    """Sort the nodes so that values exist before they are used, and drop casts that were added twice.

    The converter appends its casts at the end, one per use; otherwise the order stays.
    """
    producers: dict[str, int] = {}
    nodes: list[onnx.NodeProto] = []
    for node in graph.node:
        if node.op_type == "Cast" and node.output[0] in producers:
            continue
        producers |= {name: len(nodes) for name in node.output if name}
        nodes.append(node)
    placed: set[int] = set()
    order: list[int] = []
    for start in range(len(nodes)):
        stack = [start]
        while stack:
            index = stack[-1]
            if index in placed:
                stack.pop()
                continue
            waits_for = {producers[name] for name in _names_read(nodes[index]) if name in producers} - placed - {index}
            if waits_for:
                stack.extend(sorted(waits_for, reverse=True))
            else:
                placed.add(stack.pop())
                order.append(index)
    ordered = [nodes[index] for index in order]
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in ordered]
    del graph.node[:]
    graph.node.extend(copies)


def _names_read(node: onnx.NodeProto) -> set[str]:
    """Values that a node needs, also those that its nested graphs take from outside."""
    names = set(node.input)
    for attribute in node.attribute:
        nested = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for graph in nested:
            for inner in graph.node:
                names |= _names_read(inner)
            names |= {value.name for value in graph.output}
    return names
