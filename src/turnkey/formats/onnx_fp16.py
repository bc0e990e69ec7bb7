"""Format ``onnx-fp16``: an ONNX file with float16 weights and activations."""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_rewrite import OnnxRewrite


@dataclass(frozen=True, slots=True, kw_only=True)
class Fp16Settings:
    """How to narrow.

    Attributes:
        keep_io: inputs and outputs keep their dtypes.
        block: operator types that stay in float32, beside those without a float16 form.
    """

    keep_io: bool = False
    block: tuple[str, ...] = ()


class OnnxFp16(OnnxRewrite):
    """An ONNX file with float16 weights and activations."""

    name = "onnx-fp16"
    settings_type = Fp16Settings
    tool = "convert-fp16"
    converts_from = ("onnx", "onnx-opt")

    def convert(self, request: ConvertRequest) -> Conversion:
        """Convert ``request.parent``; settings are `Fp16Settings`.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: it holds fused operators, cannot be converted, or the result is not valid.
        """
        from turnkey.formats.fp16_conversion import convert_to_fp16  # onnx is loaded only by who converts

        return convert_to_fp16(self.parent_of(request), request.path, request.settings)


FORMAT = OnnxFp16()
