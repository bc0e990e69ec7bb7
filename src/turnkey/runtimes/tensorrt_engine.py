"""TensorRT itself: executes engines on an NVIDIA GPU, with torch for the memory. No options.

A call is what a client sees: inputs copied from host memory, outputs copied back, and waited for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from turnkey.errors import ConversionError
from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file

if TYPE_CHECKING:
    import torch

    from turnkey.formats.stored_call import StoredCall


class TensorRtEngineRunner(StoredTorchRunner):
    """One execution context on a stream of its own."""

    def __init__(self, engine: Any, stored: StoredCall, *, threads: int, device: str) -> None:
        import tensorrt as trt
        import torch

        super().__init__(self._execute, stored, threads=threads, device=device)
        self._context = engine.create_execution_context()
        self._stream = torch.cuda.Stream(device)
        names = [engine.get_tensor_name(index) for index in range(engine.num_io_tensors)]
        self._fed = [name for name in names if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT]
        kinds = {name: trt.nptype(engine.get_tensor_dtype(name)) for name in names}
        self._dtypes = {name: getattr(torch, _torch_dtype(kind)) for name, kind in kinds.items()}
        self._version = str(trt.__version__)

    def _execute(self, *tensors: torch.Tensor) -> tuple[torch.Tensor, ...]:
        import torch

        given = dict(zip(self._names, tensors, strict=True))
        kept = []
        for name in self._fed:
            tensor = given[name].to(self._dtypes[name]).contiguous()
            kept.append(tensor)  # until the stream is through
            self._context.set_input_shape(name, tuple(tensor.shape))
            self._context.set_tensor_address(name, tensor.data_ptr())
        results = []
        for name in self._output_names:
            shape = tuple(self._context.get_tensor_shape(name))
            result = torch.empty(shape, dtype=self._dtypes[name], device=self._device)
            self._context.set_tensor_address(name, result.data_ptr())
            results.append(result)
        self._stream.wait_stream(torch.cuda.current_stream(self._device))
        if not self._context.execute_async_v3(self._stream.cuda_stream):
            raise RuntimeError("TensorRT refused to execute; its message is in the log")
        self._stream.synchronize()
        return tuple(results)

    def describe(self) -> Mapping[str, Any]:
        """As every runner, with the version of TensorRT."""
        return {**super().describe(), "runtime_version": self._version}


class TensorRtEngineRuntime:
    """The runtime ``tensorrt-engine``."""

    name = "tensorrt-engine"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("tensorrt",)
    devices: tuple[str, ...] = ("cuda",)
    requires: tuple[str, ...] = ("tensorrt", "torch")
    install = "pip install tensorrt   # and a CUDA build of torch"
    compiles = False

    def load(self, request: LoadRequest) -> TensorRtEngineRunner:
        """The engine of the file.

        Raises:
            UsageError: there is no file, an option, or no GPU.
            ArtifactError: it is not known how the engine is called.
            ConversionError: this TensorRT or this GPU refuses it.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="tensorrt")
        import tensorrt as trt

        from turnkey.formats.stored_call import read_stored_call

        stored = read_stored_call(path)
        engine = trt.Runtime(trt.Logger(trt.Logger.WARNING)).deserialize_cuda_engine(path.read_bytes())
        if engine is None:
            raise ConversionError(
                f"TensorRT {trt.__version__} refuses the engine {path.name}",
                evidence="engines are for one kind of GPU and one version of TensorRT",
                remedy="make it again on this machine: convert --to tensorrt",
            )
        return TensorRtEngineRunner(engine, stored, threads=request.threads, device=request.device)


def _torch_dtype(numpy_type: Any) -> str:
    """numpy's scalar type as the name of torch's dtype."""
    import numpy as np

    name = np.dtype(numpy_type).name
    return "bool" if name.startswith("bool") else name


RUNTIME: Runtime = TensorRtEngineRuntime()
