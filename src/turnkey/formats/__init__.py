"""Ways of storing a model. One module per format, a plug-in each; `FORMATS` knows them by name."""

from __future__ import annotations

from turnkey.formats.format import Conversion, ConvertRequest, Format
from turnkey.plugins import PluginTable

# Text, not imports: torch and onnx are loaded only by the format that is used.
FORMATS = PluginTable(
    group="turnkey.formats",
    noun="format",
    builtin={
        "torch": "turnkey.formats.live_source:TORCH",
        "python": "turnkey.formats.live_source:PYTHON",
        "torchscript-trace": "turnkey.formats.torchscript:TRACE",
        "torchscript-script": "turnkey.formats.torchscript:SCRIPT",
        "torch-exportedprogram": "turnkey.formats.torch_exportedprogram:FORMAT",
        "torch-exportedprogram-int8-static": "turnkey.formats.torchao_int8:STATIC",
        "torch-exportedprogram-int8-dynamic": "turnkey.formats.torchao_int8:DYNAMIC",
        "torch-aoti": "turnkey.formats.torch_aoti:FORMAT",
        "torch-aoti-int8-static": "turnkey.formats.torch_aoti:INT8_STATIC",
        "torch-aoti-int8-dynamic": "turnkey.formats.torch_aoti:INT8_DYNAMIC",
        "torch-tensorrt": "turnkey.formats.torch_tensorrt:FORMAT",
        "torch-tensorrt-fp16": "turnkey.formats.torch_tensorrt:FLOAT16",
        "executorch": "turnkey.formats.executorch:FORMAT",
        "executorch-int8": "turnkey.formats.executorch:INT8",
        "onnx": "turnkey.formats.onnx_export:FORMAT",
        "onnx-dynamo": "turnkey.formats.onnx_export:DYNAMO",
        "onnx-torchscript": "turnkey.formats.onnx_export:TORCHSCRIPT",
        "onnx-opt": "turnkey.formats.onnx_ort:FORMAT",
        "onnx-opt-extended": "turnkey.formats.onnx_ort:EXTENDED",
        "onnx-opt-all": "turnkey.formats.onnx_ort:ALL",
        "onnx-transformers": "turnkey.formats.onnx_optimizers:TRANSFORMERS",
        "onnx-onnxscript": "turnkey.formats.onnx_optimizers:ONNXSCRIPT",
        "onnx-slim": "turnkey.formats.onnx_optimizers:SLIM",
        "onnx-fp16": "turnkey.formats.onnx_fp16:FORMAT",
        "onnx-bf16": "turnkey.formats.onnx_bf16:FORMAT",
        "onnx-int8-dynamic": "turnkey.formats.onnx_int8:DYNAMIC",
        "onnx-int8-static": "turnkey.formats.onnx_int8:STATIC",
        "onnx-int4": "turnkey.formats.onnx_int4:FORMAT",
        "openvino": "turnkey.formats.openvino:FLOAT32",
        "openvino-fp16": "turnkey.formats.openvino:FLOAT16",
        "openvino-bf16": "turnkey.formats.openvino:BFLOAT16",
        "openvino-int8": "turnkey.formats.openvino:INT8",
        "jax": "turnkey.formats.jax:FORMAT",
        "tf-savedmodel": "turnkey.formats.tensorflow:SAVED_MODEL",
        "onnx-tensorflow": "turnkey.formats.tensorflow:ONNX",
        "tensorrt": "turnkey.formats.tensorrt:FORMAT",
        "tensorrt-fp16": "turnkey.formats.tensorrt:FLOAT16",
        "mlf": "turnkey.mlf.format:FORMAT",
    },
)


def find_format(name: str) -> Format:
    """The format of that name. Raises UsageError for an unknown one."""
    found: Format = FORMATS.load(name)
    return found


__all__ = ["FORMATS", "Conversion", "ConvertRequest", "Format", "find_format"]
