"""Formats ``torch-tensorrt`` and ``torch-tensorrt-fp16``: an ExportedProgram whose parts are TensorRT engines.

What TensorRT does not take stays with torch on the GPU. Engines are for one kind of GPU and one version of TensorRT.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchTensorRtSettings:
    """How to compile.

    Attributes:
        workspace_bytes: memory that the builder may use for tactics.
        min_block_size: parts with fewer operators stay with torch.
    """

    workspace_bytes: int = 8 << 30
    min_block_size: int = 5


@dataclass(frozen=True, slots=True)
class TorchTensorRt:
    """A program with engines; ``is_half`` lets them compute in float16."""

    is_half: bool = False

    stored_as = "torch-tensorrt"
    converts_from = ("torch-exportedprogram",)
    suffix = ".ep"
    requires = ("torch", "torch_tensorrt")
    install = "pip install torch-tensorrt"
    settings_type = TorchTensorRtSettings

    @property
    def name(self) -> str:
        return "torch-tensorrt-fp16" if self.is_half else "torch-tensorrt"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Compile the program ``request.parent``; settings are `TorchTensorRtSettings`.

        Raises:
            ConversionError: there is no program or no GPU, or Torch-TensorRT cannot compile it.
        """
        import torch

        from turnkey.formats.torch_program import ProgramCompiler, compiled

        if not torch.cuda.is_available():
            raise ConversionError(
                "Torch-TensorRT compiles on the GPU that it compiles for, and there is none",
                evidence=f"torch {torch.__version__}, CUDA available: False",
                remedy="run this conversion on the machine with the GPU",
            )
        compiler = ProgramCompiler(
            exporter="torch-tensorrt",
            title="Torch-TensorRT",
            bound_to="for this kind of GPU and this version of TensorRT",
            otherwise="convert --to tensorrt, which goes by way of ONNX",
        )
        return compiled(request, name=self.name, compiler=compiler, compile=partial(self._write, request.settings))

    def _write(self, settings: TorchTensorRtSettings, program: Any, path: Path) -> None:
        import torch
        import torch_tensorrt
        from torch.export.passes import move_to_device_pass

        program = move_to_device_pass(program, "cuda")
        args, _ = program.example_inputs
        inputs = [tensor.to("cuda") for tensor in args]
        precisions = {torch.float16, torch.float32} if self.is_half else {torch.float32}
        module = torch_tensorrt.dynamo.compile(
            program,
            arg_inputs=inputs,
            enabled_precisions=precisions,
            workspace_size=settings.workspace_bytes,
            min_block_size=settings.min_block_size,
        )
        torch_tensorrt.save(module, str(path), output_format="exported_program", arg_inputs=inputs)


FORMAT = TorchTensorRt()
FLOAT16 = TorchTensorRt(is_half=True)
