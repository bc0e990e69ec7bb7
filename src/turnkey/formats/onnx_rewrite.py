"""What formats have in common that are one ONNX file made from another."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest

if TYPE_CHECKING:
    import onnx

UNCHANGED = "nothing was simplified"
FOREIGN = "needs operators beyond the ONNX standard"
"""Beginnings of notes that tell on which runtimes such a file is worth a race."""


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


class QuantizedOnnx(OnnxRewrite):
    """An ONNX file with weights, or weights and activations, of few bits.

    Args:
        name: of the format.
        quantize: (file, request) to what it made.
    """

    verb = "quantise"
    tool = "quantize"
    converts_from = ("onnx", "onnx-opt")

    def __init__(
        self, name: str, quantize: Callable[[Path, ConvertRequest], Conversion], *, settings_type: type
    ) -> None:
        self.name = name
        self.settings_type = settings_type
        self._quantize = quantize

    def convert(self, request: ConvertRequest) -> Conversion:
        """Quantise ``request.parent``; settings are of ``settings_type``.

        Raises:
            InputError: the parent is not a readable ONNX file.
            ConversionError: there is no file, or no sample for what calibrates; or ONNX Runtime cannot quantise it,
                or finds nothing to quantise.
        """
        return self._quantize(self.parent_of(request), request)


def write_rewritten(model: onnx.ModelProto, path: Path) -> tuple[str, ...]:
    """Write a model that was made from another, checked where it keeps to the standard; returns the note where not.

    Raises:
        InputError: it breaks the ONNX specification.
    """
    from turnkey.formats.onnx_file import check_file, save_model  # onnx is loaded only by who converts
    from turnkey.formats.onnx_graph import foreign_operators

    foreign = foreign_operators(model)
    save_model(model, path, check=None if foreign else check_file)
    return (f"{FOREIGN}: {', '.join(foreign)}",) if foreign else ()
