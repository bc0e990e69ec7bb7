"""Format ``torch-exportedprogram``: a live module captured by ``torch.export``, as a ``.pt2`` file.

The batch axis, and what the script itself called with several extents, are free where the module allows it.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.live_source import live_module


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportedProgramSettings:
    """How to capture.

    Attributes:
        dynamic: leave axes free; without it every extent is that of the captured inputs.
        strict: capture by analysing the byte code (TorchDynamo) instead of running the module on symbols.
    """

    dynamic: bool = True
    strict: bool = False


class ExportedProgram:
    """A live module as an ExportedProgram."""

    name = "torch-exportedprogram"
    stored_as = "torch-exportedprogram"
    converts_from = ("torch",)
    suffix = ".pt2"
    requires = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    settings_type = ExportedProgramSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Write ``request.source`` to ``request.path``; settings are `ExportedProgramSettings`.

        Raises:
            ModelError: the module fails on its own captured inputs.
            ConversionError: there is no live module, or torch.export cannot capture it.
        """
        from turnkey.formats.torch_program import capture, write_program  # torch is loaded only by who exports

        source = live_module(request, name=self.name)
        captured = capture(source, dynamic=request.settings.dynamic, strict=request.settings.strict)
        companion = write_program(captured.program, captured.call, request.path)
        return Conversion(
            path=request.path,
            exporter="torch.export",
            notes=captured.notes,
            attempts=captured.attempts,
            companions=(companion,),
        )


FORMAT = ExportedProgram()
