"""8-bit and 4-bit forms of ONNX files, made by ONNX Runtime's quantiser.

The quantiser needs to know every shape and type: ``quant_pre_process`` infers them first, without which files of the
torch.export-based exporter fail. Where symbolic inference itself fails it is left out, and the notes say so.
"""

from __future__ import annotations

import logging
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from turnkey.errors import ConversionError, TurnkeyError
from turnkey.formats.failure_text import one_line
from turnkey.formats.format import Conversion
from turnkey.formats.import_path import import_path_kept
from turnkey.formats.onnx_file import (
    EXTERNAL_FROM_BYTES,
    load_graph,
    load_model,
    opset_of,
    save_model,
    stored_bytes,
)
from turnkey.formats.onnx_graph import names_read, nodes_of, put_in_order
from turnkey.formats.onnx_int4 import Int4Settings
from turnkey.formats.onnx_int8 import Int8DynamicSettings, Int8StaticSettings
from turnkey.formats.onnx_rewrite import write_rewritten
from turnkey.formats.onnx_signature import fit_sample, read_signature
from turnkey.host import has_vnni
from turnkey.model.samples import Sample

_QUANTIZED = {
    "MatMulInteger": "MatMul",
    "ConvInteger": "Conv",
    "DynamicQuantizeLSTM": "LSTM",
    "MatMulNBits": "MatMul",
    "QGemm": "Gemm",
}
"""Operators of which each is one that was quantised, and what it was before."""
_METHODS = {"minmax": "MinMax", "entropy": "Entropy", "percentile": "Percentile"}


def quantize_dynamic_file(parent: Path, path: Path, settings: Int8DynamicSettings) -> Conversion:
    """Write the dynamically quantised form of ``parent`` to ``path``.

    Raises:
        InputError: the parent is not a readable ONNX file.
        ConversionError: it cannot be quantised, or holds nothing to quantise.
    """

    def quantize(prepared: Path, written: Path) -> None:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        quantize_dynamic(
            prepared,
            written,
            op_types_to_quantize=list(settings.operators) or None,
            per_channel=settings.per_channel,
            reduce_range=_reduces_range(settings.reduce_range),
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(settings.exclude) or None,
            use_external_data_format=_is_large(prepared),
        )

    notes = _range_notes(settings.reduce_range)
    return _quantized(parent, path, quantize, exporter="onnxruntime-int8-dynamic", notes=notes)


def quantize_static_file(
    parent: Path, path: Path, settings: Int8StaticSettings, samples: Sequence[Sample]
) -> Conversion:
    """Write the form of ``parent`` with 8-bit activations, whose ranges are those of ``samples``, to ``path``.

    Raises:
        InputError: the parent is not a readable ONNX file, or a sample lacks one of its inputs.
        ConversionError: it cannot be quantised, or holds nothing to quantise.
    """
    signature = read_signature(load_graph(parent))
    fed = [fit_sample(sample, signature) for sample in samples]

    def quantize(prepared: Path, written: Path) -> None:
        from onnxruntime.quantization import (
            CalibrationDataReader,
            CalibrationMethod,
            QuantFormat,
            QuantType,
            quantize_static,
        )

        class Reader(CalibrationDataReader):  # type: ignore[misc]  # onnxruntime is not followed
            """The samples, once."""

            def __init__(self) -> None:
                self._left = iter(fed)

            def get_next(self) -> dict[str, np.ndarray] | None:
                return next(self._left, None)

        quantize_static(
            prepared,
            written,
            Reader(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(settings.operators) or None,
            per_channel=settings.per_channel,
            reduce_range=_reduces_range(settings.reduce_range),
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=list(settings.exclude) or None,
            use_external_data_format=_is_large(prepared),
            calibrate_method=getattr(CalibrationMethod, _METHODS[settings.method]),
        )

    notes = [f"calibrated on {len(fed)} samples ({settings.method})", *_range_notes(settings.reduce_range)]
    return _quantized(parent, path, quantize, exporter="onnxruntime-int8-static", notes=notes)


def quantize_weights_file(parent: Path, path: Path, settings: Int4Settings) -> Conversion:
    """Write the form of ``parent`` with 4-bit weights of matrix products to ``path``.

    Raises:
        InputError: the parent is not a readable ONNX file.
        ConversionError: it cannot be quantised, or holds no product with constant weights.
    """

    def quantize(prepared: Path, written: Path) -> None:
        from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

        quantizer = MatMulNBitsQuantizer(
            with_plain_products(load_model(prepared)),
            bits=4,
            block_size=settings.block_size,
            is_symmetric=settings.symmetric,
            accuracy_level=settings.accuracy_level,
            nodes_to_exclude=list(settings.exclude),
        )
        quantizer.process()
        save_model(quantizer.model.model, written)

    return _quantized(parent, path, quantize, exporter="onnxruntime-int4", notes=[])


def _quantized(
    parent: Path, path: Path, quantize: Callable[[Path, Path], None], *, exporter: str, notes: list[str]
) -> Conversion:
    """Prepare the parent, quantise it, refuse a result without a quantised operator, and write any other."""
    load_graph(parent)
    with tempfile.TemporaryDirectory(prefix="turnkey-quantize-") as scratch, import_path_kept(), _quiet():
        try:
            prepared, remarks = _prepared(parent, Path(scratch))
            written = Path(scratch) / "quantized.onnx"
            quantize(prepared, written)
            model = load_model(written)
            put_in_order(model.graph)  # the quantiser does not see what nested graphs read
        except TurnkeyError:
            raise
        except Exception as error:
            raise ConversionError(
                f"ONNX Runtime cannot quantise {parent.name}",
                evidence=one_line(error),
                remedy="leave out the operator it stumbles over: quantize --exclude NODE",
            ) from error
    counts = quantized_operators(model)
    if not counts:
        raise ConversionError(
            f"{parent.name} holds nothing that {exporter} can quantise",
            evidence=f"its operators: {', '.join(sorted({node.op_type for node in nodes_of(load_graph(parent))}))}",
            remedy="leave it as it is",
        )
    beyond = write_rewritten(model, path)
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return Conversion(
        path=path,
        exporter=exporter,
        notes=(f"quantised: {told}", *notes, *remarks, *beyond),
        facts={"opset": opset_of(model)},
    )


def with_plain_products(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with each Gemm on constant weights as a MatMul, and an Add where it has a bias, in place.

    A Gemm has no 4-bit form. One with factors or a transposed first input stays as it is.
    """
    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        settings = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
        plain = settings.get("alpha", 1.0) == settings.get("beta", 1.0) == 1.0 and not settings.get("transA", 0)
        if node.op_type != "Gemm" or node.input[1] not in weights or not plain:
            nodes.append(node)
            continue
        weight = node.input[1]
        if settings.get("transB", 0):
            weight = f"{weight}_transposed"
            if weight not in weights:
                turned = np.ascontiguousarray(onnx.numpy_helper.to_array(weights[node.input[1]]).T)
                weights[weight] = onnx.numpy_helper.from_array(turned, weight)
                model.graph.initializer.append(weights[weight])
        has_bias = len(node.input) > 2 and bool(node.input[2])
        product = f"{node.output[0]}_product" if has_bias else node.output[0]
        nodes.append(onnx.helper.make_node("MatMul", [node.input[0], weight], [product], f"{node.name}_product"))
        if has_bias:
            nodes.append(onnx.helper.make_node("Add", [product, node.input[2]], [node.output[0]], node.name))
    used = {name for node in nodes for name in names_read(node)} | {value.name for value in model.graph.output}
    kept = [tensor for tensor in model.graph.initializer if tensor.name in used]
    del model.graph.node[:], model.graph.initializer[:]
    model.graph.node.extend(nodes)
    model.graph.initializer.extend(kept)
    return model


def quantized_operators(model: onnx.ModelProto) -> Counter[str]:
    """How many operators of which type compute on quantised weights or activations.

    In a QDQ file that is each operator whose first input comes out of a DequantizeLinear.
    """
    restored = {node.output[0] for node in nodes_of(model) if node.op_type == "DequantizeLinear"}
    counts: Counter[str] = Counter()
    for node in nodes_of(model):
        if node.op_type in _QUANTIZED:
            counts[_QUANTIZED[node.op_type]] += 1
        elif node.op_type not in ("QuantizeLinear", "DequantizeLinear") and node.input and node.input[0] in restored:
            counts[node.op_type] += 1
    return counts


def _prepared(parent: Path, scratch: Path) -> tuple[Path, list[str]]:
    """The file with all shapes and types inferred, and what had to be left out for that."""
    from onnxruntime.quantization import quant_pre_process

    prepared = scratch / "prepared.onnx"
    large = _is_large(parent)
    external: dict[str, Any] = {"save_as_external_data": large, "all_tensors_to_one_file": large}
    try:
        quant_pre_process(parent, prepared, **external)
        return prepared, []
    except Exception as error:  # noqa: BLE001 - symbolic shape inference knows a part of the operators, in plain asserts
        reason = one_line(error)
    quant_pre_process(parent, prepared, skip_symbolic_shape=True, **external)
    return prepared, [f"prepared without symbolic shapes: {reason}"]


def _is_large(path: Path) -> bool:
    return stored_bytes(path) > EXTERNAL_FROM_BYTES


def _reduces_range(given: bool | None) -> bool:
    return not has_vnni() if given is None else given


def _range_notes(given: bool | None) -> list[str]:
    return ["weights of 7 bits: their 8-bit products saturate without VNNI"] if _reduces_range(given) else []


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the quantiser's advice on the root logger, which is about how to call it."""
    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
