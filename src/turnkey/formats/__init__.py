"""Ways of storing a model. One module per format, a plug-in each; `FORMATS` knows them by name."""

from __future__ import annotations

from turnkey.formats.format import Conversion, ConvertRequest, Format
from turnkey.plugins import PluginTable

# Text, not imports: torch and onnx are loaded only by the format that is used.
FORMATS = PluginTable(
    group="turnkey.formats",
    noun="format",
    builtin={
        "torch": "turnkey.formats.torch_module:FORMAT",
        "onnx": "turnkey.formats.onnx_export:FORMAT",
        "onnx-opt": "turnkey.formats.onnx_ort:FORMAT",
        "onnx-fp16": "turnkey.formats.onnx_fp16:FORMAT",
        "mlf": "turnkey.mlf.format:FORMAT",
    },
)


def find_format(name: str) -> Format:
    """The format of that name. Raises UsageError for an unknown one."""
    found: Format = FORMATS.load(name)
    return found


__all__ = ["FORMATS", "Conversion", "ConvertRequest", "Format", "find_format"]
