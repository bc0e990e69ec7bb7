"""Measurement records as text and as plain data: every number recomputed from the samples that they keep."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from turnkey.measure import Record


def print_records(paths: Sequence[Path], *, as_json: bool) -> None:
    """Print the records at ``paths``: a table, the result in plain words, and why something must not be used.

    Raises:
        InputError: there is nothing at a path.
        ArtifactError: it is no record of a comparison.
    """
    from turnkey.measure import Record
    from turnkey.tools.benchmark_table import benchmark_table

    records = [(path, Record.load(path)) for path in paths]
    if as_json:
        print(json.dumps([record_json(record, path) for path, record in records], indent=2))
        return
    for path, record in records:
        print(
            f"{path}: {len(record.run['rounds'])} rounds, {record.run['state']}, "
            f"turnkey {record.run['tool']['version']}"
        )
        print(benchmark_table(record, batch=1, size_bytes={}))
        print(record.sentence())
        for reason in record.reasons:
            print(f"INVALID {reason.key or 'all'}: {reason}")


def record_json(record: Record, path: Path) -> dict[str, Any]:
    """The facts of the table under a stable schema; milliseconds, None where too few calls carry a number."""
    return {
        "path": str(path),
        "state": record.run["state"],
        "reference": record.reference,
        "fastest": record.fastest,
        "sentence": record.sentence(),
        "noise_floor": record.noise_floor,
        "candidates": [_finite(asdict(record.summary(key))) for key in record.keys],
        "verdicts": record.verdicts_json(),
        "validity": [reason.to_json() for reason in record.reasons],
    }


def _finite(value: Any) -> Any:
    """JSON has no infinity and no keys that are numbers."""
    if isinstance(value, dict):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
