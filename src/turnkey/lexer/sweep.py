"""A sweep: one model benchmarked at every combination of batch sizes, shapes and thread counts.

Inputs of other sizes are made from the example: along an axis that grows its items are repeated in turn, along one
that shrinks the first ones stay. Values thus keep their range, and indices stay valid.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, overload

import numpy as np

from turnkey.errors import UsageError
from turnkey.lexer import table
from turnkey.lexer.report import HEADINGS, BenchmarkReport
from turnkey.lexer.row import BenchmarkRow, shapes_text
from turnkey.model.samples import Sample
from turnkey.model.signature import Signature, specs_of
from turnkey.report.figure import count
from turnkey.verify import batch_size
from turnkey.verify.batch import resized

_BATCH = "batch"
_HEADINGS = ("inputs", "threads", *HEADINGS)
_EXAMPLE = "context.sweep(model, x, batch_sizes=[1, 8, 32], threads=[1, 4])"


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPoint:
    """What one benchmark of a sweep is made with; ``threads`` None is what the settings say."""

    inputs: Sample
    threads: int | None

    def __str__(self) -> str:
        return shapes_text(self.inputs) + ("" if self.threads is None else f", {count(self.threads, 'thread')}")


def sweep_points(
    example: Sample,
    *,
    batch_sizes: Sequence[int] | None = None,
    shapes: Sequence[Sequence[int] | Mapping[str, Sequence[int]]] | None = None,
    threads: Sequence[int] | None = None,
) -> list[SweepPoint]:
    """Every combination, shapes outermost and threads innermost; points of equal inputs share their arrays.

    Args:
        example: the input that others are made from.
        batch_sizes: first extents of the inputs that have the first input's first extent.
        shapes: one shape each for a model with one input, else shapes by name of an input; others stay as they are.

    Raises:
        UsageError: nothing to vary, a value that is no count or occurs twice, or a shape that fits no input.
    """
    if batch_sizes is None and shapes is None and threads is None:
        raise UsageError("a sweep varies batch sizes, shapes or threads, and none is given", remedy=_EXAMPLE)
    shaped = [example] if shapes is None else [_shaped(example, shape) for shape in _listed("shapes", shapes)]
    samples = (
        shaped
        if batch_sizes is None
        else [_batched(sample, size) for sample in shaped for size in _counts("batch_sizes", batch_sizes)]
    )
    counts: list[int | None] = [None] if threads is None else [*_counts("threads", threads)]
    return [SweepPoint(inputs=sample, threads=number) for sample, number in product(samples, counts)]


class Sweep(Sequence[BenchmarkReport]):
    """The benchmarks of a sweep, in the order of its points. ``print(sweep)`` shows all rows as one table."""

    def __init__(self, reports: Iterable[BenchmarkReport], *, class_name: str) -> None:
        self.reports = tuple(reports)
        self.class_name = class_name

    @overload
    def __getitem__(self, index: int) -> BenchmarkReport: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[BenchmarkReport, ...]: ...

    def __getitem__(self, index: int | slice) -> BenchmarkReport | tuple[BenchmarkReport, ...]:
        return self.reports[index]

    def __len__(self) -> int:
        return len(self.reports)

    @property
    def rows(self) -> tuple[BenchmarkRow, ...]:
        """The rows of all points."""
        return tuple(row for report in self.reports for row in report)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, without the raw samples."""
        return {"class_name": self.class_name, "points": [report.to_dict() for report in self.reports]}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=2, default=str)

    def to_csv(self, path: str | Path | None = None) -> str:
        """All rows as the text of a CSV file, which is written too where a path is given."""
        return BenchmarkReport(self.rows, class_name=self.class_name).to_csv(path)

    def to_dataframe(self) -> Any:
        """One row per point and engine. Raises MissingDependencyError without pandas."""
        return table.data_frame([row.to_dict() for row in self.rows])

    def to_markdown(self) -> str:
        return table.markdown_table(_HEADINGS, self._cells())

    def to_html(self) -> str:
        return table.html_table(_HEADINGS, self._cells())

    def __str__(self) -> str:
        remarks = [
            f"run {run}: {remark}" for report in self.reports for run in _runs(report) for remark in report.remarks
        ]
        return "\n".join([table.plain_table(_HEADINGS, self._cells()), *remarks])

    def __repr__(self) -> str:
        return f"<Sweep of {self.class_name}: {len(self.reports)} points>"

    def __rich__(self) -> Any:
        """A table for rich consoles."""
        return table.rich_table(_HEADINGS, self._cells(), title=f"{self.class_name}: {len(self.reports)} points")

    def _cells(self) -> list[list[str]]:
        return [
            [row.inputs, "–" if row.threads is None else str(row.threads), *cells]
            for report in self.reports
            for row, cells in zip(report, report.cells(), strict=True)
        ]


def _runs(report: BenchmarkReport) -> list[int]:
    return list(dict.fromkeys(row.run for row in report))


def _listed(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | Mapping) or not isinstance(values, Iterable) or not (found := list(values)):
        raise UsageError(f"{name} must be a list with something in it", evidence=f"{name}={values!r}", remedy=_EXAMPLE)
    return found


def _counts(name: str, values: Any) -> list[int]:
    found = _listed(name, values)
    wrong = [each for each in found if isinstance(each, bool) or not isinstance(each, int) or each < 1]
    if wrong or len(set(found)) != len(found):
        raise UsageError(
            f"{name} must be different whole numbers of at least 1", evidence=f"{name}={values!r}", remedy=_EXAMPLE
        )
    return found


def _shaped(example: Sample, shape: Any) -> Sample:
    """The example with other extents."""
    if not isinstance(shape, Mapping):
        if len(example) != 1:
            raise UsageError(
                "a shape must say of which input it is",
                evidence=f"shape {shape!r}; inputs: {', '.join(example)}",
                remedy=f"shapes=[{{{next(iter(example))!r}: {shape!r}}}]",
            )
        shape = dict.fromkeys(example, shape)
    unknown = [str(name) for name in shape if name not in example]
    if unknown:
        raise UsageError(f"there is no input {unknown[0]!r}", evidence=f"inputs: {', '.join(example)}")
    return {name: _resized(name, array, shape[name]) if name in shape else array for name, array in example.items()}


def _resized(name: str, array: np.ndarray, shape: Any) -> np.ndarray:
    extents = _listed("a shape", shape)
    if any(isinstance(each, bool) or not isinstance(each, int) or each < 1 for each in extents):
        raise UsageError("a shape is made of whole numbers of at least 1", evidence=f"{name}: {shape!r}")
    if len(extents) != array.ndim or not array.size:
        raise UsageError(
            f"{name} cannot take this shape",
            evidence=f"{extents} for an input of shape {list(array.shape)}",
            remedy="give as many extents as the example has, and an example that is not empty",
        )
    for axis, extent in enumerate(extents):
        array = np.take(array, np.arange(extent) % array.shape[axis], axis=axis)
    return np.ascontiguousarray(array)


def _batched(sample: Sample, size: int) -> Sample:
    """The sample with another batch size on every input that has the first input's first extent."""
    current = batch_size(sample)
    specs = specs_of(sample)
    free = tuple(
        replace(spec, shape=(_BATCH, *spec.shape[1:])) if spec.shape[:1] == (current,) else spec for spec in specs
    )
    if free == specs:
        raise UsageError(
            "no input has a batch axis to vary",
            evidence=", ".join(f"{spec.name} {list(spec.shape)}" for spec in specs),
        )
    return resized(sample, Signature(inputs=free), size)
