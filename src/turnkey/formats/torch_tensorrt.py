"""Formats ``torch-tensorrt`` and ``torch-tensorrt-fp16``: an ExportedProgram whose parts are TensorRT engines.

What TensorRT does not take stays with torch on the GPU. Engines are for one kind of GPU and one version of TensorRT.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from turnkey.errors import ConversionError
from turnkey.formats.finished_file import finished_file
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.stored_call import write_stored_call


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

        from turnkey.formats.onnx_agreement import one_line
        from turnkey.formats.torch_program import read_program

        if request.parent is None:
            raise ConversionError(
                "there is no ExportedProgram to compile",
                remedy=f"turnkey -i SCRIPT.py discover convert --to {self.name}",
            )
        if not torch.cuda.is_available():
            raise ConversionError(
                "Torch-TensorRT compiles on the GPU that it compiles for, and there is none",
                evidence=f"torch {torch.__version__}, CUDA available: False",
                remedy="run this conversion on the machine with the GPU",
            )
        program, call = read_program(request.parent)
        try:
            with finished_file(request.path) as unfinished, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._compiled(program, unfinished, request.settings)
        except Exception as error:
            raise ConversionError(
                f"Torch-TensorRT cannot compile {request.parent.name}",
                evidence=one_line(error, limit=2000),
                remedy="convert --to tensorrt, which goes by way of ONNX",
            ) from error
        return Conversion(
            path=request.path,
            exporter="torch-tensorrt",
            notes=("host-specific: for this kind of GPU and this version of TensorRT",),
            companions=(write_stored_call(call, request.path),),
        )

    def _compiled(self, program: Any, path: Any, settings: TorchTensorRtSettings) -> None:
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
