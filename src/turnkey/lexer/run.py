"""What a context remembers of one call of ``export`` or ``benchmark``: enough to write an artifact from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.lexer.options import LexerSettings
from turnkey.lexer.row import BenchmarkRow

if TYPE_CHECKING:
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.subject import Subject
    from turnkey.model.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One call.

    Attributes:
        number: from 1, in the order of the calls of a context; the column ``run``.
        kind: ``export`` or ``benchmark``.
        stem: of the member names of its class, and, with a suffix, of its model.
        model_stem: ``Net``, or ``Net-2`` for another model of a class of that name.
        settings: effective, with the batch size and the names that were really used.
        lineage: model hash and its basis, weights hash, signature, numbers of parameters.
        inputs, outputs: of the model's one sample, for later verification; None if they were not kept.
        started, ended: UTC, ISO-8601.
        error: what ended it early, in one line; empty if nothing did.
    """

    number: int
    kind: str
    class_name: str
    stem: str
    model_stem: str
    settings: LexerSettings
    lineage: dict[str, Any]
    inputs: Sample | None
    outputs: Sample | None
    export: ExportResult | None
    rows: tuple[BenchmarkRow, ...]
    started: str
    ended: str
    error: str = ""

    @property
    def onnx_name(self) -> str:
        """Member name of the ONNX file; empty without an export."""
        return "" if self.export is None else self.export.path.name

    @property
    def onnx_files(self) -> tuple[Path, ...]:
        """The file and its external data; none without an export."""
        if self.export is None:
            return ()
        from turnkey.formats.onnx_file import external_files

        return (self.export.path, *external_files(self.export.path))


def lineage_of(subject: Subject) -> dict[str, Any]:
    """The model's automatic signature: what it takes and gives, and hashes of structure and weights."""
    source = subject.source
    return {
        "class_name": source.class_name,
        "model_hash": source.model_hash,
        "hash_basis": source.hash_basis,
        "weights_hash": source.weights_hash,
        "parameters": source.parameter_count,
        "parameter_bytes": source.parameter_bytes,
        "signature": subject.signature.to_dict(),
    }
