"""The interface of a format: how a model is stored. One module per format or family, a plug-in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from turnkey.errors import ConversionError

if TYPE_CHECKING:  # the command line imports this for the names of exporters
    from turnkey.model.samples import Sample
    from turnkey.model.source import SourceModel


@dataclass(frozen=True, slots=True, kw_only=True)
class Conversion:
    """What a format made.

    Attributes:
        path: the file written.
        exporter: who made it.
        notes: what a reader must know.
        attempts: one entry per way that was tried: ``{"exporter", "axes", "outcome", "reason", "seconds"}``.
        facts: format-specific data for the state (opset …); ``precision``: the mark (``int8``) that a key needs where
            the file computes more coarsely than the way to it tells.
        companions: further files without which ``path`` cannot be read (the weights of an OpenVINO model).
    """

    path: Path
    exporter: str
    notes: tuple[str, ...] = ()
    companions: tuple[Path, ...] = ()
    attempts: tuple[Mapping[str, Any], ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoSettings:
    """Settings of a format that has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertRequest:
    """What to convert.

    Attributes:
        source: the live model, for exports; conversions of files may be given it too, and do not need it.
        parent: the file to convert; None for exports.
        path: where to write.
        settings: the format's own frozen dataclass.
        samples: inputs that were really used, for conversions that calibrate.
    """

    source: SourceModel | None = None
    parent: Path | None = None
    path: Path
    settings: Any
    samples: tuple[Sample, ...] = ()


def require_samples(samples: Sequence[Sample], *, model: str) -> None:
    """Raises ConversionError where there is nothing to calibrate with; ``model`` is what was to be, in words."""
    if not samples:
        raise ConversionError(
            f"{model} cannot be quantised: there are no samples to calibrate with",
            remedy="start from a script, whose inputs are captured: turnkey -i SCRIPT.py discover ... quantize",
        )


class Format(Protocol):
    """A format as a plug-in: an instance in its module's ``FORMAT``, or an entry point ``turnkey.formats``.

    Attributes:
        name: ``onnx``, ``onnx-fp16``.
        stored_as: what runtimes see: ``onnx`` for every ONNX file.
        converts_from: format names, the best first: ``torch`` is the live module, ``python`` a live callable.
        suffix: of the file.
        requires, install: import names and the exact install command.
        settings_type: a frozen dataclass whose fields all have defaults; `convert --to` uses those.
    """

    name: str
    stored_as: str
    converts_from: tuple[str, ...]
    suffix: str
    requires: tuple[str, ...]
    install: str
    settings_type: type

    def convert(self, request: ConvertRequest) -> Conversion: ...
