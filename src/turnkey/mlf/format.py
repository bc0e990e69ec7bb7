"""Format ``mlf``: a tarball of C source, made from an ONNX file."""

from __future__ import annotations

from pathlib import Path

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest
from turnkey.mlf.options import ExportOptions


class MlfFormat:
    """A Model Library Format tarball."""

    name = "mlf"
    stored_as = "mlf"
    converts_from = ("onnx",)
    suffix = ".tar"
    requires = ("onnx", "onnxruntime", "emx_onnx_cgen")
    install = "pip install 'turnkey[mlf]'"
    settings_type = ExportOptions

    def convert(self, request: ConvertRequest) -> Conversion:
        """Export ``request.parent``; settings are `ExportOptions`, the name is the target's stem.

        Raises:
            ConversionError: there is no ONNX file, or it cannot become C.
        """
        from turnkey.mlf.export import export

        if request.parent is None:
            raise ConversionError(
                "there is no ONNX file to export from",
                remedy="turnkey -i SCRIPT.py discover export-pytorch export-mlf",
            )
        settings = request.settings if isinstance(request.settings, ExportOptions) else ExportOptions()
        made = export(Path(request.parent), request.path, name=request.path.stem, options=settings)
        modules = made.library.modules
        notes = tuple(note for module in modules for note in module.metadata.turnkey.get("notes", ()))
        facts = {"digest": made.digest}
        if any(module.computes_on_bytes for module in modules):
            facts["precision"] = "int8"
        return Conversion(path=request.path, exporter="turnkey-mlf", notes=notes, facts=facts)


FORMAT = MlfFormat()
