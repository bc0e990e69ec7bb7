"""TensorRT, through ONNX Runtime's execution provider: executes ONNX files on an NVIDIA GPU.

Nodes that TensorRT leaves to CUDA or to the processor are a fall-back, and are reported as one. Options are those of
the runtime ``onnxruntime``, without ``provider``.
"""

from __future__ import annotations

from dataclasses import replace

from turnkey.errors import UsageError
from turnkey.runtimes.onnxruntime import OnnxRuntime, OnnxRuntimeRunner
from turnkey.runtimes.runtime import LoadRequest, Runtime

_PROVIDERS = ("Tensorrt", "CUDA", "CPU")


class TensorRt:
    """The runtime ``tensorrt``, called ``trt`` by the original."""

    name = "tensorrt"
    aliases: tuple[str, ...] = ("trt",)
    executes: tuple[str, ...] = ("onnx",)
    devices: tuple[str, ...] = ("cuda",)
    requires: tuple[str, ...] = ("onnxruntime", "tensorrt")
    install = "pip install onnxruntime-gpu tensorrt"
    compiles = False

    def load(self, request: LoadRequest) -> OnnxRuntimeRunner:
        """A session over the file of the request, whose engine is built while it loads.

        Raises:
            UsageError: an unknown option, or ``provider``, which this runtime decides.
            ConversionError: ONNX Runtime refuses the file.
        """
        if "provider" in request.options:
            raise UsageError(
                "the runtime tensorrt decides its providers itself",
                remedy="benchmark --runtime onnxruntime --rt-args ...",
            )
        return OnnxRuntime().load(replace(request, options={**request.options, "provider": list(_PROVIDERS)}))


RUNTIME: Runtime = TensorRt()
