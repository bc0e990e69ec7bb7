"""Format ``python``: any live callable on numpy arrays, as a variant that was never written to a file."""

from __future__ import annotations

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings


class PythonCallable:
    """The source function as it lives in this process; there is nothing to convert."""

    name = "python"
    stored_as = "python"
    converts_from: tuple[str, ...] = ()
    suffix = ""
    requires = ("numpy",)
    install = "pip install numpy"
    settings_type = NoSettings

    def convert(self, request: ConvertRequest) -> Conversion:
        """Always refused: a function comes from the caller alone.

        Raises:
            ConversionError: every time.
        """
        raise ConversionError(
            "nothing is converted to a live function",
            evidence=str(request.parent or request.path),
            remedy="turnkey.optimize(FUNCTION, samples)   # in Python; for modules: turnkey -i SCRIPT.py discover ...",
        )


FORMAT = PythonCallable()
