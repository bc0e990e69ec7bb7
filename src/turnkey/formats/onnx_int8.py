"""Formats ``onnx-int8-dynamic`` and ``onnx-int8-static``: ONNX files with 8-bit weights, and activations of 8 bits.

Dynamic: activations are quantised while the model runs, by the range of each call. Static: by ranges that were seen
on calibration samples, written as pairs of QuantizeLinear and DequantizeLinear (QDQ), which every runtime fuses as it
can. Neither is ever believed: verification judges the outputs, and the tool ``quantize`` whether it pays.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import UsageError
from turnkey.formats.format import Conversion, ConvertRequest, require_samples
from turnkey.formats.onnx_rewrite import QuantizedOnnx

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
class Int8StaticSettings(Int8DynamicSettings):
    """How to quantise weights and activations: as `Int8DynamicSettings`, and how ranges are found.

    Attributes:
        method: how calibration turns values into a range: one of `METHODS`.
    """

    method: str = "minmax"

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise UsageError(f"there is no calibration method {self.method!r}", remedy=f"one of: {', '.join(METHODS)}")


def _dynamic(parent: Path, request: ConvertRequest) -> Conversion:
    from turnkey.formats.onnx_quantization import quantize_dynamic_file  # onnxruntime's tools: half a second

    return quantize_dynamic_file(parent, request.path, request.settings)


def _static(parent: Path, request: ConvertRequest) -> Conversion:
    from turnkey.formats.onnx_quantization import quantize_static_file  # as above

    require_samples(request.samples, model=parent.name)
    return quantize_static_file(parent, request.path, request.settings, request.samples)


DYNAMIC = QuantizedOnnx("onnx-int8-dynamic", _dynamic, settings_type=Int8DynamicSettings)
STATIC = QuantizedOnnx("onnx-int8-static", _static, settings_type=Int8StaticSettings)
