"""Formats ``torchscript-trace`` and ``torchscript-script``: a module as TorchScript, frozen for inference.

A trace holds the operations of one call: a Python branch is what it was for the captured inputs, and verification
at other samples and sizes says whether that matters. A script is compiled from the source and keeps its branches.
"""

from __future__ import annotations

from dataclasses import dataclass

from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.live_source import live_module


@dataclass(frozen=True, slots=True, kw_only=True)
class TorchScriptSettings:
    """How to make it.

    Attributes:
        strict: of traces: refuse lists and dictionaries that come out.
        freeze: parameters become constants and what does not depend on inputs is computed beforehand.
    """

    strict: bool = True
    freeze: bool = True


@dataclass(frozen=True, slots=True)
class TorchScript:
    """A live module as TorchScript; ``jit_type`` is ``trace`` or ``script``."""

    jit_type: str

    stored_as = "torchscript"
    converts_from = ("torch",)
    suffix = ".pt"
    requires = ("torch",)
    install = "pip install 'torch>=2.6,<2.14'"
    settings_type = TorchScriptSettings

    @property
    def name(self) -> str:
        return f"torchscript-{self.jit_type}"

    def convert(self, request: ConvertRequest) -> Conversion:
        """Write ``request.source`` to ``request.path``; settings are `TorchScriptSettings`.

        Raises:
            ModelError: the module fails on its own captured inputs.
            ConversionError: there is no live module, or TorchScript cannot hold it.
        """
        from turnkey.formats.torchscript_export import script, trace  # torch is loaded only by who exports

        source = live_module(request, name=self.name)
        export = trace if self.jit_type == "trace" else script
        return export(source, request.path, request.settings)


TRACE = TorchScript("trace")
SCRIPT = TorchScript("script")
