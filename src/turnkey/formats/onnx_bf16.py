"""Format ``onnx-bf16``: an ONNX file with bfloat16 weights and activations.

It has float32's range, so that nothing overflows, and 8 bits of mantissa. It pays where the processor or GPU has
instructions for it and the runtime has kernels: ONNX Runtime has them on CUDA, OpenVINO on the processor.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_rewrite import OnnxRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Bf16Settings:
    """``block``: operator types that stay in float32, beside those without a bfloat16 form in the file's opset."""

    block: tuple[str, ...] = ()


class OnnxBf16(OnnxRewrite):
    """An ONNX file with bfloat16 weights and activations; its inputs and outputs keep their dtypes."""

    name = "onnx-bf16"
    settings_type = Bf16Settings
    converts_from = ("onnx", "onnx-opt")

    def convert(self, request: ConvertRequest) -> Conversion:
        """Convert ``request.parent``; settings are `Bf16Settings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: no operator of it has a bfloat16 form, or the result is not valid.
        """
        from turnkey.formats.bf16_conversion import convert_to_bf16  # onnx is loaded only by who converts

        return convert_to_bf16(self.parent_of(request), request.path, request.settings)


FORMAT = OnnxBf16()
