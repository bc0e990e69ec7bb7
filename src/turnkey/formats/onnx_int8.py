"""Formats ``onnx-int8-dynamic`` and ``onnx-int8-static``: ONNX files with 8-bit weights, and activations of 8 bits.

Dynamic: activations are quantised while the model runs, by the range of each call. Static: by ranges that were seen
on calibration samples, written as pairs of QuantizeLinear and DequantizeLinear (QDQ), which every runtime fuses as it
can. Neither is ever believed: verification judges the outputs, and the tool ``quantize`` whether it pays.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.errors import ConversionError, UsageError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_rewrite import OnnxRewrite

METHODS = ("minmax", "entropy", "percentile")


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8DynamicSettings:
    """How to quantise weights.

    Attributes:
        per_channel: a scale for each output channel of a weight instead of one for all.
        reduce_range: weights of 7 bits, for processors without VNNI, whose 8-bit products saturate; None asks the
            processor.
        operators: types to quantise, such as MatMul; none means all that have an 8-bit form.
        exclude: names of nodes that stay as they are.
    """

    per_channel: bool = True
    reduce_range: bool | None = None
    operators: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Int8StaticSettings:
    """How to quantise weights and activations.

    Attributes:
        per_channel, reduce_range, operators, exclude: as `Int8DynamicSettings`.
        method: how calibration turns values into a range: one of `METHODS`.
    """

    per_channel: bool = True
    reduce_range: bool | None = None
    operators: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    method: str = "minmax"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"there is no calibration method {self.method!r}", remedy=f"one of: {', '.join(METHODS)}")


class OnnxInt8Dynamic(OnnxRewrite):
    """An ONNX file with 8-bit weights whose activations are quantised at each call."""

    name = "onnx-int8-dynamic"
    settings_type = Int8DynamicSettings
    verb = "quantise"
    tool = "quantize"
    converts_from = ("onnx", "onnx-opt")

    def convert(self, request: ConvertRequest) -> Conversion:
        """Quantise ``request.parent``; settings are `Int8DynamicSettings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: ONNX Runtime cannot quantise it, or finds nothing to quantise.
        """
        from turnkey.formats.onnx_quantization import quantize_dynamic_file  # onnxruntime's tools: half a second

        return quantize_dynamic_file(self.parent_of(request), request.path, request.settings)


class OnnxInt8Static(OnnxRewrite):
    """An ONNX file with 8-bit weights and activations, calibrated."""

    name = "onnx-int8-static"
    settings_type = Int8StaticSettings
    verb = "quantise"
    tool = "quantize"
    converts_from = ("onnx", "onnx-opt")

    def convert(self, request: ConvertRequest) -> Conversion:
        """Quantise ``request.parent`` with the ranges of ``request.samples``; settings are `Int8StaticSettings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: there are no samples, or ONNX Runtime cannot quantise it, or finds nothing to quantise.
        """
        from turnkey.formats.onnx_quantization import quantize_static_file  # onnxruntime's tools: half a second

        parent = self.parent_of(request)
        if not request.samples:
            raise ConversionError(
                f"{parent.name} cannot be quantised statically: there are no samples to calibrate with",
                remedy="start from a script, whose inputs are captured: turnkey -i SCRIPT.py discover ... quantize",
            )
        return quantize_static_file(parent, request.path, request.settings, request.samples)


DYNAMIC = OnnxInt8Dynamic()
STATIC = OnnxInt8Static()
