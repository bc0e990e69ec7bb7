"""The runs of a context: what it remembers of its calls, and how their files are called in an artifact."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from turnkey.lexer.call import Call
from turnkey.lexer.member_names import MemberNames
from turnkey.lexer.options import LexerSettings

if TYPE_CHECKING:
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.lexer.row import BenchmarkRow
    from turnkey.lexer.run import Run
    from turnkey.lexer.subject import Subject


class Runs:
    """Runs in the order in which their calls ended; may be used from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # guards all of the following
        self._kept: list[Run] = []
        self._begun = 0
        self._names = MemberNames()

    @property
    def kept(self) -> tuple[Run, ...]:
        """Those that were remembered and not cleared."""
        with self._lock:
            return tuple(self._kept)

    def clear(self) -> None:
        """Forget all runs and names; numbers go on."""
        with self._lock:
            self._kept.clear()
            self._names = MemberNames()

    def begin(self, kind: str, settings: LexerSettings) -> Call:
        """A call with the next number, begun now."""
        with self._lock:
            self._begun += 1
            return Call(number=self._begun, kind=kind, settings=settings, started=_now())

    def model_stem(self, subject: Subject) -> str:
        """Stem of the subject's ONNX file: ``Net``, ``Net-2`` for another model of a class of that name."""
        with self._lock:
            return self._names.model_stem(subject.class_name, subject.identity)

    def remember(
        self,
        subject: Subject,
        call: Call,
        *,
        export: ExportResult | None,
        rows: tuple[BenchmarkRow, ...] = (),
        error: str = "",
    ) -> None:
        """Keep a call that has ended now, with what was really used.

        Args:
            error: what ended it early, in one line.
        """
        from turnkey.lexer.run import Run, lineage_of

        keeps_samples = call.settings.store_samples and export is not None
        # An export that serves several inputs has one name.
        model_stem = self.model_stem(subject) if export is None else export.path.stem
        with self._lock:
            run = Run(
                number=call.number,
                kind=call.kind,
                class_name=subject.class_name,
                stem=self._names.stem(subject.class_name),
                model_stem=model_stem,
                settings=replace(
                    call.settings,
                    batch_size=call.batch_size(subject),
                    input_names=tuple(subject.inputs),
                    output_names=subject.output_names,
                ),
                lineage=lineage_of(subject),
                inputs=subject.inputs if keeps_samples else None,
                outputs=subject.outputs if keeps_samples else None,
                export=export,
                rows=rows,
                started=call.started,
                ended=_now(),
                error=error,
            )
            self._kept.append(run)


def _now() -> str:
    return datetime.now(UTC).isoformat()
