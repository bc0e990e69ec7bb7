"""Format ``onnx``: a live module exported by the first exporter whose file agrees with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.settings import onnx_opset

EXPORTERS = ("dynamo", "torchscript")
"""Who writes ONNX files of live modules, in the order in which they are tried."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OnnxExportSettings:
    """How to export.

    Attributes:
        opset: of the standard operators; by default ``$TURNKEY_ONNX_OPSET``, else 20.
        exporter: ``auto`` (dynamo, then torchscript), ``dynamo``, ``torchscript``, ``fast`` (torchscript first
            where tracing is sound: static shapes, no control flow that depends on data), or ``native`` (as ``auto``,
            but torchscript first for an opset that dynamo reaches only by version conversion, where tracing is sound).
        dynamic: axes that the user wants to vary: (input, axis).
    """

    opset: int = field(default_factory=onnx_opset)
    exporter: str = "auto"
    dynamic: tuple[tuple[str, int], ...] = ()


class OnnxExport:
    """The format ``onnx`` made from a live module."""

    name = "onnx"
    stored_as = "onnx"
    converts_from = ("torch",)
    suffix = ".onnx"
    requires = ("torch", "onnx", "onnxscript", "onnxruntime")
    install = "pip install onnx onnxscript onnxruntime"
    settings_type = OnnxExportSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Export ``request.source`` to ``request.path``; settings are `OnnxExportSettings`.

        Raises:
            UsageError: an opset that does not exist, or a dynamic axis that the model does not have.
            ModelError: the module fails on its own captured inputs.
            ConversionError: no exporter wrote a file that agrees; the evidence is the table of all tries.
        """
        from turnkey.formats.export_chain import export_module  # torch is loaded only by who exports

        if request.source is None or request.source.module is None:
            raise ConversionError(
                "there is no live model to export", remedy="start with: turnkey -i SCRIPT.py discover export-pytorch"
            )
        return export_module(request.source, request.path, request.settings)


FORMAT = OnnxExport()


def attempts_table(attempts: Sequence[Mapping[str, Any]]) -> str:
    """Who was tried, with which axes, and what became of it; one line each (`Conversion.attempts`)."""
    columns = ("exporter", "outcome", "seconds", "axes", "reason")
    rows = [columns, *(tuple(str(attempt[column]) for column in columns) for attempt in attempts)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(columns) - 1)]
    return "\n".join(
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]]).rstrip()
        for row in rows
    )
