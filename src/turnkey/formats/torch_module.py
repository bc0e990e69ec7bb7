"""Format ``torch``: the live module itself, in evaluation mode, as a variant that was never written to a file."""

from __future__ import annotations

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings


class TorchModule:
    """The source model as it lives in this process; there is nothing to convert."""

    name = "torch"
    stored_as = "torch"
    converts_from: tuple[str, ...] = ()
    suffix = ""
    requires = ("torch",)
    install = "pip install 'torch<2.14'"
    settings_type = NoSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Always refused: a live module comes from discovery alone.

        Raises:
            ConversionError: every time.
        """
        raise ConversionError(
            "nothing is converted to a live torch module",
            evidence=str(request.parent or request.path),
            remedy="start with the script: turnkey -i SCRIPT.py discover ...",
        )


FORMAT = TorchModule()
