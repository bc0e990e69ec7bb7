"""Formats ``openvino``, ``openvino-fp16``, ``openvino-bf16`` and ``openvino-int8``: OpenVINO's own files.

``model.xml`` holds the graph and ``model.bin`` beside it the weights. Each file says in itself in which precision it
is computed, since OpenVINO would else choose bfloat16 where the processor has it: ``openvino`` is float32 throughout,
``openvino-fp16`` keeps float16 weights and computes in float32 (half the file), ``openvino-bf16`` computes in
bfloat16, ``openvino-int8`` has 8-bit weights and activations, calibrated by NNCF, and float32 for the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from turnkey.errors import ConversionError, UsageError
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings, require_samples

PRESETS = ("mixed", "performance")
PRECISION_PLACE = ("turnkey", "inference_precision")
"""Where in its runtime information a file says in which precision it wants to be computed."""


def port_name(port: Any, otherwise: str) -> str:
    """Name of an input or output as the file calls it.

    Its set of names also holds those of values that OpenVINO found to be the same, such as a reshaped input's; the
    node at the border keeps the one that it was read with.
    """
    names = sorted(port.get_names(), key=lambda name: (len(name), name))
    own = port.get_node().get_friendly_name().removesuffix("/sink_port_0")
    return own if own in names else (names[0] if names else otherwise)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenVinoInt8Settings:
    """How NNCF quantises.

    Attributes:
        preset: ``mixed`` (activations with a zero point, more exact) or ``performance`` (all symmetric).
        transformer: whether the patterns of transformers count; None looks for attention in the graph.
        exclude: names of nodes that stay as they are.
    """

    preset: str = "mixed"
    transformer: bool | None = None
    exclude: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise UsageError(f"there is no preset {self.preset!r}", remedy=f"one of: {', '.join(PRESETS)}")


class OpenVinoFormat:
    """One precision.

    Args:
        name: of the format.
        weights: ``f32``, ``f16`` or ``int8``.
        precision: in which the rest is computed: ``f32`` or ``bf16``.
    """

    stored_as = "openvino"
    converts_from: tuple[str, ...] = ("onnx", "onnx-opt")
    suffix = ".xml"

    def __init__(self, name: str, *, weights: str, precision: str) -> None:
        self.name = name
        self.weights = weights
        self.precision = precision
        quantizes = weights == "int8"
        self.requires: tuple[str, ...] = ("openvino", "nncf") if quantizes else ("openvino",)
        self.install = "pip install 'turnkey[openvino]'"
        self.settings_type: type = OpenVinoInt8Settings if quantizes else NoSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Convert ``request.parent``, an ONNX file; ``request.samples`` calibrate the 8-bit form.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: there is no file, OpenVINO refuses it, or there are no samples to calibrate with.
        """
        from turnkey.formats.openvino_model import convert_to_openvino  # openvino is loaded only by who converts

        if request.parent is None:
            raise ConversionError(
                "there is no ONNX file to convert",
                remedy=f"turnkey -i SCRIPT.py discover export-pytorch convert --to {self.name}",
            )
        if self.weights == "int8":
            require_samples(request.samples, model=request.parent.name)
        return convert_to_openvino(
            request.parent,
            request.path,
            weights=self.weights,
            precision=self.precision,
            quantization=request.settings if self.weights == "int8" else None,
            samples=request.samples,
        )


FLOAT32 = OpenVinoFormat("openvino", weights="f32", precision="f32")
FLOAT16 = OpenVinoFormat("openvino-fp16", weights="f16", precision="f32")
BFLOAT16 = OpenVinoFormat("openvino-bf16", weights="f32", precision="bf16")
INT8 = OpenVinoFormat("openvino-int8", weights="int8", precision="f32")
