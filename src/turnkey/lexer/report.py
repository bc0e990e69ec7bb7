"""What a benchmark returns: rows, their raw samples, and the record behind them, in whatever form is wanted."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from turnkey.lexer import table
from turnkey.lexer.result_table import csv_text
from turnkey.lexer.row import PRINTED_DEVICES, PRINTED_ENGINES, BenchmarkRow
from turnkey.measure.verdict import with_doubt

if TYPE_CHECKING:
    from turnkey.lexer.comparison import Difference
    from turnkey.lexer.onnx_export import ExportResult
    from turnkey.measure import Record

HEADINGS = (
    *("engine", "device", "batch", "samples", "mean ms", "p50 ms", "p90 ms", "p95 ms", "p99 ms"),
    *("variance ms²", "throughput 1/s", "verdict"),
)


class BenchmarkReport(Sequence[BenchmarkRow]):
    """The rows of one benchmark, in the order onnxruntime, torch, others. ``print(report)`` shows the table.

    Attributes:
        class_name: of the model.
        rows: one per engine that was timed.
        export: what was exported for it; None if nothing was.
        record: of the measurement, with every timed call; None if no engine was timed.
    """

    def __init__(
        self,
        rows: Iterable[BenchmarkRow],
        *,
        class_name: str,
        export: ExportResult | None = None,
        record: Record | None = None,
        notes: Sequence[str] = (),
    ) -> None:
        self.rows = tuple(rows)
        self.class_name = class_name
        self.export = export
        self.record = record
        self.notes = tuple(notes)

    @overload
    def __getitem__(self, index: int) -> BenchmarkRow: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[BenchmarkRow, ...]: ...

    def __getitem__(self, index: int | slice) -> BenchmarkRow | tuple[BenchmarkRow, ...]:
        return self.rows[index]

    def __len__(self) -> int:
        return len(self.rows)

    def __bool__(self) -> bool:
        return True  # a benchmark of no engine is a benchmark

    def row(self, engine: str) -> BenchmarkRow:
        """The row of one engine. Raises KeyError if it was not timed."""
        for row in self.rows:
            if row.engine == engine:
                return row
        raise KeyError(engine)

    def samples(self) -> Iterator[tuple[str, float]]:
        """Every raw sample as (engine, milliseconds), in time order within an engine."""
        return ((row.engine, value) for row in self.rows for value in row)

    @property
    def environment(self) -> dict[str, Any]:
        """What is known of the machine that this was measured on; empty if nothing was timed."""
        return {} if self.record is None else dict(self.record.run["environment"])

    @property
    def sentence(self) -> str:
        """The result in one line of plain words."""
        return f"{self.class_name}: no engine was timed" if self.record is None else self.record.sentence()

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the raw samples."""
        return {
            "class_name": self.class_name,
            "sentence": self.sentence,
            "rows": [row.to_dict() for row in self.rows],
            "export": None if self.export is None else self.export.to_dict(),
            "notes": list(self.notes),
            "environment": self.environment,
        }

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, default=str)

    def to_dataframe(self) -> Any:
        """One row per engine, columns as in the CSV file. Raises MissingDependencyError without pandas."""
        return table.data_frame([row.to_dict() for row in self.rows])

    def to_csv(self, path: str | Path | None = None) -> str:
        """The text of the CSV file, which is written too where a path is given."""
        text = csv_text(self.rows)
        if path is not None:
            from turnkey.pipeline import durable

            durable.write_text(Path(path), text)
        return text

    def to_markdown(self) -> str:
        return table.markdown_table(HEADINGS, self.cells())

    def to_html(self) -> str:
        return table.html_table(HEADINGS, self.cells())

    def compare(self, other: BenchmarkReport) -> list[Difference]:
        """Engine by engine, how this report compares to an earlier one."""
        from turnkey.lexer.comparison import compare_rows

        return compare_rows(other.rows, self.rows)

    def __str__(self) -> str:
        shown = [table.plain_table(HEADINGS, self.cells()), self.sentence] if self.rows else [self.sentence]
        return "\n".join([*shown, *self.remarks])

    @property
    def remarks(self) -> list[str]:
        """What a reader must know beside the numbers, one line each."""
        reasons: dict[str, list[str]] = {}
        for row in self.rows:
            for reason in row.why_invalid:
                reasons.setdefault(reason, []).append(_printed(row))
        return [*(f"INVALID ({', '.join(engines)}): {reason}" for reason, engines in reasons.items()), *self.notes]

    def __repr__(self) -> str:
        return f"<BenchmarkReport of {self.class_name}: {', '.join(row.engine for row in self.rows) or 'no engine'}>"

    def __rich__(self) -> Any:
        """A table for rich consoles."""
        return table.rich_table(HEADINGS, self.cells(), title=self.sentence)

    def cells(self) -> list[list[str]]:
        """What the tables show, by row, under `HEADINGS`."""
        return [
            [
                _printed(row),
                PRINTED_DEVICES.get(row.device, row.device),
                str(row.batch_size),
                str(row.num_samples),
                *(_short(value) for value in (row.mean_ms, row.p50_ms, row.p90_ms, row.p95_ms, row.p99_ms)),
                _short(row.variance),
                _short(row.throughput_per_sec),
                with_doubt(row.verdict, is_value_valid=row.valid),
            ]
            for row in self.rows
        ]


def _printed(row: BenchmarkRow) -> str:
    return PRINTED_ENGINES.get(row.engine, row.engine)


def _short(value: float) -> str:
    """Four significant digits, never in exponents that a reader must decode."""
    import numpy as np

    return str(np.format_float_positional(value, precision=4, fractional=False, trim="-"))
