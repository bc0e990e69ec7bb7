"""Torch-TensorRT: executes programs whose parts are TensorRT engines, on an NVIDIA GPU. No options."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

from turnkey.runtimes.options import refuse_unknown
from turnkey.runtimes.runtime import LoadRequest, Runtime
from turnkey.runtimes.stored_torch import StoredTorchRunner, stored_file


class TorchTensorRtRunner(StoredTorchRunner):
    """One loaded program."""

    def describe(self) -> Mapping[str, Any]:
        """As every runner, with the version of Torch-TensorRT."""
        return {**super().describe(), "runtime_version": version("torch-tensorrt")}


class TorchTensorRtRuntime:
    """The runtime ``torch-tensorrt``."""

    name = "torch-tensorrt"
    aliases: tuple[str, ...] = ()
    executes: tuple[str, ...] = ("torch-tensorrt",)
    devices: tuple[str, ...] = ("cuda",)
    requires: tuple[str, ...] = ("torch", "torch_tensorrt")
    install = "pip install torch-tensorrt"
    compiles = False

    def load(self, request: LoadRequest) -> TorchTensorRtRunner:
        """The program of the file as a module.

        Raises:
            UsageError: there is no file, an option, or no GPU.
            ArtifactError: it is not known how the program is called.
            ConversionError: torch cannot read it.
        """
        refuse_unknown(self.name, request.options, ())
        path = stored_file(self.name, request, made_by="torch-tensorrt")
        import torch_tensorrt  # noqa: F401  registers the operators that hold the engines

        from turnkey.formats.torch_program import read_program

        program, stored = read_program(path)
        return TorchTensorRtRunner(program.module(), stored, threads=request.threads, device=request.device)


RUNTIME: Runtime = TorchTensorRtRuntime()
