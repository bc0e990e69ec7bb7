"""One call of ``export`` or ``benchmark`` as its context goes through it: number, settings, and the rows it makes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.lexer.options import LexerSettings

if TYPE_CHECKING:
    from turnkey.lexer.measuring import Measured
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.row import BenchmarkRow
    from turnkey.lexer.subject import Subject


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """Number of the call in its context, its one effective set of settings, and when it began (UTC, ISO-8601)."""

    number: int
    kind: str
    settings: LexerSettings
    started: str

    def batch_size(self, subject: Subject) -> int:
        """Given, else that of the input."""
        return self.settings.batch_size or subject.inferred_batch

    def rows(self, found: Measured, subject: Subject, export: ExportResult | None) -> list[BenchmarkRow]:
        """One per engine that was measured."""
        from turnkey.lexer.row import row_of

        notes = [*self._batch_notes(subject), *found.notes]
        return [
            row_of(
                found.record,
                candidate.key,
                engine=candidate.runtime.name,
                device=candidate.device,
                batch_size=self.batch_size(subject),
                run=self.number,
                class_name=subject.class_name,
                inputs=subject.inputs,
                export=export,
                notes=notes,
            )
            for candidate in found.candidates
            if candidate.key in found.record.measured
        ]

    def _batch_notes(self, subject: Subject) -> list[str]:
        given = self.settings.batch_size
        if given is None or given == subject.inferred_batch:
            return []
        return [f"batch_size is given as {given}, the first input has {subject.inferred_batch}"]
