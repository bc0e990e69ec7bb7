"""Format ``onnx-int4``: an ONNX file whose matrix products keep their constant weights in 4 bits.

Weights alone, in blocks that share a scale: the file shrinks to about a sixth, and large products that wait for
memory get faster. Needs ONNX Runtime's own operator MatMulNBits.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import UsageError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.onnx_rewrite import QuantizedOnnx

_BLOCK_SIZES = (16, 32, 64, 128, 256)


@dataclass(frozen=True, slots=True, kw_only=True)
class Int4Settings:
    """How to quantise weights.

    Attributes:
        block_size: weights that share a scale; smaller is more exact and larger in bytes.
        symmetric: without a zero point.
        accuracy_level: in what ONNX Runtime computes: 0 decides itself, 1 float32, 2 float16, 3 bfloat16, 4 int8.
        exclude: names of nodes that stay as they are.
    """

    block_size: int = 32
    symmetric: bool = False
    accuracy_level: int = 0
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.block_size not in _BLOCK_SIZES:
            raise UsageError(
                f"a block cannot have {self.block_size} weights",
                remedy=f"one of: {', '.join(map(str, _BLOCK_SIZES))}",
            )


def _weights(parent: Path, request: ConvertRequest) -> Conversion:
    from turnkey.formats.onnx_quantization import quantize_weights_file  # onnxruntime's tools: half a second

    return quantize_weights_file(parent, request.path, request.settings)


FORMAT = QuantizedOnnx("onnx-int4", _weights, settings_type=Int4Settings)
