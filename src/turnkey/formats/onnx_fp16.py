"""Format ``onnx-fp16``: weights and activations as float16.

The conversion is ONNX Runtime's (``onnxruntime.transformers.float16``). Around it: operators that lose their meaning
in float16 stay in float32, inputs and outputs are narrowed to what the guide promises (float32 and float64 to
float16, int64 to int32) unless they are to be kept, and nodes are put back into an order that ONNX accepts.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_agreement import one_line
from turnkey.formats.onnx_file import check_file, graphs_of, load_model, opset_of, save_model, tensors_of

_LARGEST_FLOAT16 = float(np.finfo(np.float16).max)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp16Settings:
    """How to narrow.

    Attributes:
        keep_io: inputs and outputs keep their dtypes.
        block: operator types that stay in float32, beside those without float16 kernels.
    """

    keep_io: bool = False
    block: tuple[str, ...] = ()


class Fp16Conversion:
    """An ONNX file with float16 weights and activations."""

    name = "onnx-fp16"
    stored_as = "onnx"
    converts_from = ("onnx", "onnx-opt")
    suffix = ".onnx"
    requires = ("onnx", "onnxruntime")
    install = "pip install onnx onnxruntime"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Convert ``request.parent``; settings are `Fp16Settings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: nothing in it is float32, or the converted graph is not valid.
        """
        from onnxruntime.transformers.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

        parent, settings = request.parent, request.settings
        if parent is None:
            raise ConversionError(
                "there is no ONNX file to convert",
                remedy="turnkey -i SCRIPT.py discover export-pytorch convert-fp16",
            )
        model = load_model(parent)
        known = {node.op_type for graph in graphs_of(model.graph) for node in graph.node}
        notes = [f"--block {op}: the model has no such operator" for op in settings.block if op not in known]
        clipped = _beyond_float16(model)
        if clipped:
            notes.append(f"weights beyond float16 were clipped to {_LARGEST_FLOAT16:g}: {', '.join(clipped)}")
        try:
            converted = convert_float_to_float16(
                model,
                keep_io_types=settings.keep_io,
                op_block_list=[*DEFAULT_OP_BLOCK_LIST, *settings.block],
                disable_shape_infer=False,
            )
            if not settings.keep_io:
                _narrow_inputs(converted.graph)
            _sort(converted.graph)
        except Exception as error:
            raise ConversionError(
                f"{parent.name} cannot be converted to float16",
                evidence=one_line(error),
                remedy="name the operators to keep in float32: convert-fp16 --block OP",
            ) from error
        save_model(converted, request.path)
        check_file(request.path)
        return Conversion(
            path=request.path,
            exporter="onnxruntime-float16",
            notes=tuple(notes),
            facts={"opset": opset_of(converted), "downcast_applied": not settings.keep_io},
        )


FORMAT = Fp16Conversion()
