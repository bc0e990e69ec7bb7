"""Measurement records as text and as plain data: every number recomputed from the samples that they keep."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.pipeline.plain_data import finite

if TYPE_CHECKING:
    from turnkey.measure import LoadResult, Record


def print_records(paths: Sequence[Path], *, as_json: bool) -> None:
    """Print the records at ``paths``: tables, the result in plain words, and why something must not be used.

    Raises:
        InputError: there is nothing at a path.
        ArtifactError: it is no record.
    """
    from turnkey.report.recorded import read_record  # the engine, and with it numpy

    records = [(path, read_record(path)) for path in paths]
    if as_json:
        print(json.dumps([_json(record, path) for path, record in records], indent=2))
        return
    for path, record in records:
        print(_text(record, path))


def record_json(record: Record, path: Path) -> dict[str, Any]:
    """The facts of the table under a stable schema; milliseconds, None where too few calls carry a number."""
    return {
        "path": str(path),
        "state": record.run["state"],
        "reference": record.reference,
        "fastest": record.fastest,
        "objective": record.settings.objective,
        "sentence": record.sentence(),
        "noise_floor": record.noise_floor,
        "candidates": [finite(asdict(record.summary(key))) for key in record.keys],
        "verdicts": record.verdicts_json(),
        "validity": [reason.to_json() for reason in record.reasons],
    }


def load_json(result: LoadResult, path: Path) -> dict[str, Any]:
    """A load shape's facts under a stable schema."""
    return {"path": str(path), "sentence": result.sentence(), **finite(asdict(result))}


def _json(record: Record | LoadResult, path: Path) -> dict[str, Any]:
    from turnkey.measure import Record

    return record_json(record, path) if isinstance(record, Record) else load_json(record, path)


def _text(record: Record | LoadResult, path: Path) -> str:
    from turnkey.measure import Record
    from turnkey.tools.benchmark_table import benchmark_table, details_table
    from turnkey.tools.load_listing import load_table

    if isinstance(record, Record):
        run = record.run
        lines = [f"{path}: {len(run['rounds'])} rounds, {run['state']}, turnkey {run['tool']['version']}"]
        lines += [benchmark_table(record, batch=1, size_bytes={}), "", details_table(record), ""]
    else:
        lines = [f"{path}: load shape {record.shape.kind}", load_table([record], batch=1)]
    lines.append(record.sentence())
    lines += [reason.line for reason in record.reasons]
    return "\n".join(lines)
