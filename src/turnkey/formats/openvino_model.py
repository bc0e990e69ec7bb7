"""OpenVINO models: made from ONNX files, written complete or not at all, and read for what they take and give."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import openvino as ov

from turnkey.errors import ConversionError, InputError
from turnkey.formats.format import Conversion
from turnkey.formats.onnx_file import load_graph
from turnkey.formats.onnx_signature import fit_sample, read_signature
from turnkey.formats.openvino import PRECISION_PLACE, OpenVinoInt8Settings, port_name
from turnkey.host import has_vnni
from turnkey.model.samples import Sample
from turnkey.model.signature import Dimension, Signature, TensorSpec
from turnkey.whole_file import put_in_place

_NO_TELEMETRY = "NNCF_CI"
"""With this variable set NNCF sends nothing home; it is read when NNCF is imported."""


def convert_to_openvino(
    parent: Path,
    path: Path,
    *,
    weights: str,
    precision: str,
    quantization: OpenVinoInt8Settings | None,
    samples: Sequence[Sample],
) -> Conversion:
    """Write ``path`` (``.xml``) and its ``.bin`` from an ONNX file.

    Args:
        weights: ``f32``, ``f16`` or ``int8``.
        precision: of the computation, as OpenVINO names it; written into the file.
        quantization: for ``int8``.
        samples: to calibrate with, for ``int8``.

    Raises:
        InputError: the parent is not a readable ONNX file.
        ConversionError: OpenVINO or NNCF refuses the model, or it takes or gives texts.
    """
    signature = read_signature(load_graph(parent))
    if texts := [spec.name for spec in (*signature.inputs, *signature.outputs) if spec.dtype == "string"]:
        raise ConversionError(
            f"OpenVINO cannot convert {parent.name}: it does not survive tensors of text",
            evidence=f"{', '.join(texts)}: OpenVINO {ov.__version__} ends its process when such a tensor is freed",
            remedy="measure the file itself: benchmark --runtime onnxruntime",
        )
    try:
        model = ov.Core().read_model(str(parent))
        notes = [f"computed in {precision}, weights stored as {weights}"]
        if quantization is not None:
            model = _quantized(model, quantization, [fit_sample(sample, signature) for sample in samples])
            notes.append(f"calibrated on {len(samples)} samples ({quantization.preset})")
    except Exception as error:
        raise ConversionError(
            f"OpenVINO cannot convert {parent.name}",
            evidence="\n".join(line.strip() for line in str(error).strip().splitlines()[-3:])[-400:],
            remedy="export with another --opset, or measure the file itself: benchmark --runtime onnxruntime",
        ) from error
    model.set_rt_info(precision, list(PRECISION_PLACE))
    _write(model, path, compress_to_fp16=weights == "f16")
    return Conversion(
        path=path,
        exporter=f"openvino-{weights}",
        notes=tuple(notes),
        companions=(path.with_suffix(".bin"),),
    )


def read_openvino_signature(path: Path) -> Signature:
    """Inputs and outputs of an OpenVINO file; a free dimension is called ``<tensor>_<axis>``, axis 0 ``batch``.

    Raises:
        InputError: OpenVINO cannot read the file.
    """
    try:
        model = ov.Core().read_model(str(path))
    except RuntimeError as error:
        raise InputError(
            f"{path.name} is not an OpenVINO model",
            evidence=str(error).strip()[-300:],
            remedy="make it again, with its .bin file beside it: convert --to openvino",
        ) from error

    def spec(port: Any, otherwise: str) -> TensorSpec:
        name = port_name(port, otherwise)
        shape: list[Dimension] = []
        for axis, dimension in enumerate(port.get_partial_shape()):
            free = "batch" if axis == 0 else f"{name}_{axis}"
            shape.append(free if dimension.is_dynamic else dimension.get_length())
        return TensorSpec(name=name, dtype=str(port.get_element_type().to_dtype()), shape=tuple(shape))

    return Signature(
        inputs=tuple(spec(port, f"input.{i}") for i, port in enumerate(model.inputs)),
        outputs=tuple(spec(port, f"output.{i}") for i, port in enumerate(model.outputs)),
    )


def _quantized(model: ov.Model, settings: OpenVinoInt8Settings, samples: Sequence[Sample]) -> ov.Model:
    with _telemetry_off():
        import nncf
    import logging

    nncf.set_log_level(logging.ERROR)
    operators = {node.get_type_name() for node in model.get_ops()}
    # Without VNNI the processor's sums of 8-bit products saturate: weights then take half of their range.
    overflow = nncf.OverflowFix.FIRST_LAYER if has_vnni() else nncf.OverflowFix.ENABLE
    transformer = {"Softmax", "MatMul"} <= operators if settings.transformer is None else settings.transformer
    quantized: ov.Model = nncf.quantize(
        model,
        nncf.Dataset(list(samples)),
        preset=nncf.QuantizationPreset(settings.preset),
        subset_size=len(samples),
        model_type=nncf.ModelType.TRANSFORMER if transformer else None,
        advanced_parameters=nncf.AdvancedQuantizationParameters(overflow_fix=overflow),
        ignored_scope=nncf.IgnoredScope(names=list(settings.exclude)) if settings.exclude else None,
    )
    return quantized


@contextmanager
def _telemetry_off() -> Iterator[None]:
    before = os.environ.get(_NO_TELEMETRY)
    os.environ[_NO_TELEMETRY] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[_NO_TELEMETRY]
        else:
            os.environ[_NO_TELEMETRY] = before


def _write(model: ov.Model, path: Path, *, compress_to_fp16: bool) -> None:
    """Both files appear under their names complete: the weights first, then the graph that refers to them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".saving-") as scratch:
        written = Path(scratch) / path.name
        ov.save_model(model, str(written), compress_to_fp16=compress_to_fp16)
        for part in (written.with_suffix(".bin"), written):
            put_in_place(part, path.parent / part.name)
