"""Formats ``onnx``, ``onnx-dynamo`` and ``onnx-torchscript``: a live module exported to ONNX.

``onnx`` is by the first exporter whose file agrees with the module; the others are by the one that they name, so that
both can be raced.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from turnkey.errors import UsageError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.formats.live_source import live_module
from turnkey.settings import onnx_opset

EXPORTERS = ("dynamo", "torchscript")
"""Who writes ONNX files of live modules, in the order in which they are tried."""


def axis_of(text: str) -> tuple[str, int]:
    """``input_ids:1``: an input, which may contain colons and dots, and one of its axes.

    Raises:
        UsageError: it is not written so.
    """
    name, separator, axis = text.rpartition(":")
    if not separator or not name or not axis.removeprefix("-").isdigit():
        raise UsageError("an axis is given as NAME:AXIS, such as input_ids:1", evidence=repr(text))
    return name, int(axis)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExporterSettings:
    """How one exporter is to export.

    Attributes:
        opset: of the standard operators; by default ``$TURNKEY_ONNX_OPSET``, else 20.
        dynamic: axes that the user wants to vary: (input, axis), or as `axis_of` reads it.

    Raises:
        UsageError: a text that names no axis.
    """

    opset: int = field(default_factory=onnx_opset)
    dynamic: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        axes = tuple(axis_of(each) if isinstance(each, str) else each for each in self.dynamic)
        object.__setattr__(self, "dynamic", axes)


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExportSettings(ExporterSettings):
    """How to export: as `ExporterSettings`, and who.

    Attributes:
        exporter: ``auto`` (dynamo, then torchscript), ``dynamo``, ``torchscript``, ``fast`` (torchscript first
            where tracing is sound: static shapes, no control flow that depends on data), or ``native`` (as ``auto``,
            but torchscript first for an opset that dynamo reaches only by version conversion, where tracing is sound).
    """

    exporter: str = "auto"


@dataclass(frozen=True, slots=True)
class OnnxExport:
    """An ONNX file made from a live module; ``exporter`` is one of `EXPORTERS`, or empty for whichever agrees."""

    exporter: str = ""

    stored_as = "onnx"
    converts_from = ("torch",)
    suffix = ".onnx"
    requires = ("torch", "onnx", "onnxscript", "onnxruntime")
    install = "pip install onnx onnxscript onnxruntime"

    @property
    def name(self) -> str:
        return f"onnx-{self.exporter}" if self.exporter else "onnx"

    @property
    def settings_type(self) -> type:
        return ExporterSettings if self.exporter else OnnxExportSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Export ``request.source`` to ``request.path``; settings are of ``settings_type``.

        Raises:
            UsageError: an opset that does not exist, or a dynamic axis that the model does not have.
            ModelError: the module fails on its own captured inputs.
            ConversionError: no exporter wrote a file that agrees; the evidence is the table of all tries.
        """
        from turnkey.formats.export_chain import export_module  # torch is loaded only by who exports

        source, settings = live_module(request, name=self.name), request.settings
        if self.exporter:
            settings = OnnxExportSettings(opset=settings.opset, dynamic=settings.dynamic, exporter=self.exporter)
        return export_module(source, request.path, settings)


FORMAT = OnnxExport()
DYNAMO = OnnxExport("dynamo")
TORCHSCRIPT = OnnxExport("torchscript")
