"""Formats ``torch`` and ``python``: the source as it lives in this process, as a variant that was never written.

``torch`` is a live module in evaluation mode, ``python`` any other callable on arrays. Other formats start from them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

from turnkey.errors import ConversionError
from turnkey.formats.format import Conversion, ConvertRequest, NoSettings

if TYPE_CHECKING:  # the command line imports this for the names of exporters
    from turnkey.model.call import CallStructure
    from turnkey.model.samples import Sample
    from turnkey.model.source import SourceModel

_CALL_OPTIMIZE = "turnkey.optimize(FUNCTION, samples)   # in Python"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSource:
    """What lives in this process; nothing is ever converted to it.

    Attributes:
        called: in words, for the refusal.
        remedy: where such a source comes from.
    """

    name: str
    called: str
    requires: tuple[str, ...]
    install: str
    remedy: str

    converts_from = ()
    suffix = ""
    settings_type = NoSettings

    @property
    def stored_as(self) -> str:
        return self.name

    def convert(self, request: ConvertRequest) -> Conversion:
        """Always refused: a live source comes from discovery, or from the caller.

        Raises:
            ConversionError: every time.
        """
        raise ConversionError(
            f"nothing is converted to a live {self.called}",
            evidence=str(request.parent or request.path),
            remedy=self.remedy,
        )


TORCH = LiveSource(
    name="torch",
    called="torch module",
    requires=("torch",),
    install="pip install 'torch>=2.6,<2.14'",
    remedy="start with the script: turnkey -i SCRIPT.py discover ...",
)
PYTHON = LiveSource(
    name="python",
    called="function",
    requires=("numpy",),
    install="pip install numpy",
    remedy=f"{_CALL_OPTIMIZE}; for modules: turnkey -i SCRIPT.py discover ...",
)


def live_module(request: ConvertRequest, *, name: str) -> SourceModel:
    """The source of a request, which is a live torch module, for formats that export it.

    Args:
        name: of the format.

    Raises:
        ConversionError: there is none.
    """
    source = request.source
    if source is None or source.live_format != TORCH.name:
        raise ConversionError(
            f"there is no live module to make {name} of",
            remedy=f"start with the script: turnkey -i SCRIPT.py discover convert --to {name}",
        )
    return source


class LiveFunction(NamedTuple):
    """A live function, how a sample becomes its call, and the first sample."""

    function: Any
    structure: CallStructure
    sample: Sample


def live_function(request: ConvertRequest) -> LiveFunction:
    """The function of a request, for formats that trace it.

    Raises:
        ConversionError: there is none.
    """
    source = request.source
    if source is None or source.live_format != PYTHON.name or source.samples.structure is None:
        raise ConversionError("there is no live function to trace", remedy=_CALL_OPTIMIZE)
    return LiveFunction(source.module, source.samples.structure, source.samples.inputs[0])
