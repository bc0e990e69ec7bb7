"""Weights and activations of an ONNX file as float16.

The conversion is ONNX Runtime's (``onnxruntime.transformers.float16``). Around it: operators that lose their meaning
in float16 stay in float32, inputs and outputs are narrowed to what the guide promises (float32 and float64 to
float16, int64 to int32) unless they are to be kept, and nodes are put back into an order that ONNX accepts.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from turnkey.errors import ConversionError, InputError
from turnkey.formats.failure_text import one_line
from turnkey.formats.format import Conversion
from turnkey.formats.fp16_graph import (
    LARGEST_FLOAT16,
    drop_repeated_casts,
    move_casts_home,
    narrow_border,
    put_weights_back,
    set_weights_aside,
    write_constants_as_tensors,
)
from turnkey.formats.import_path import import_path_kept
from turnkey.formats.onnx_file import check_file, load_graph, load_model, opset_of, save_model
from turnkey.formats.onnx_fp16 import Fp16Settings
from turnkey.formats.onnx_graph import foreign_operators, graphs_of, nodes_of, put_in_order, tensors_of
from turnkey.formats.onnx_load_probe import LoadCrash, load_refusal


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
        notes.append(f"weights beyond float16 were clipped to {LARGEST_FLOAT16:g}: {', '.join(clipped)}")
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
    with import_path_kept():
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    remedy = "name the operators to keep in float32: convert-fp16 --block OP"
    try:
        write_constants_as_tensors(model.graph)
        # The converter needs to know every type, but inference serialises the model, which protobuf refuses beyond
        # 2 GiB: it works on the graph without external weights.
        inferred = onnx.shape_inference.infer_shapes(load_graph(parent))
        del model.graph.value_info[:]
        model.graph.value_info.extend(inferred.graph.value_info)
        aside = set_weights_aside(model.graph)
        converted = convert_float_to_float16(
            model,
            keep_io_types=settings.keep_io,
            op_block_list=[*DEFAULT_OP_BLOCK_LIST, *settings.block],
            disable_shape_infer=True,
        )
        put_weights_back(converted.graph, aside)
        if not settings.keep_io:
            narrow_border(converted.graph)
        move_casts_home(converted.graph)
        for graph in graphs_of(converted.graph):
            drop_repeated_casts(graph)
            put_in_order(graph)
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
        values = onnx.numpy_helper.to_array(tensor)
        if values.size > 1 and not max(-values.min(), values.max()) <= LARGEST_FLOAT16:  # infinity and NaN too
            magnitude = np.abs(values[np.isfinite(values)])
            if magnitude.size and magnitude.max() > LARGEST_FLOAT16:
                names.append(tensor.name or "a constant")
    return names
