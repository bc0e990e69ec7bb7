"""What formats have in common that are one ONNX file made from another."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from turnkey.errors import ConversionError
from turnkey.formats.format import ConvertRequest


class OnnxRewrite:
    """Base of such formats: a subclass states its ``name`` and ``settings_type``, and converts.

    Attributes:
        verb: what the error of a request without a file says that it wanted to do: ``optimise``.
        tool: what the remedy ends with.
    """

    name: str
    settings_type: type
    verb: ClassVar[str] = "convert"
    tool: ClassVar[str] = "convert"
    stored_as = "onnx"
    converts_from: tuple[str, ...] = ("onnx",)
    suffix = ".onnx"
    requires: tuple[str, ...] = ("onnx", "onnxruntime")
    install = "pip install onnx onnxruntime"

    def parent_of(self, request: ConvertRequest) -> Path:
        """The file to convert.

        Raises:
            ConversionError: there is none.
        """
        if request.parent is None:
            raise ConversionError(
                f"there is no ONNX file to {self.verb}",
                remedy=f"turnkey -i SCRIPT.py discover export-pytorch {self.tool}",
            )
        return request.parent
