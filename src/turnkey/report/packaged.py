"""Measurements inside archives: records in a package, the result tables of a ``.lexer`` artifact.

Archives come from strangers: they are opened by `turnkey.pipeline.archive`, which bounds and checks them first.
"""

from __future__ import annotations

import csv
import hashlib
import io
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, TurnkeyError
from turnkey.measure import Record
from turnkey.pipeline.archive import read_archive

_RECORDS = 200
_NUMBERS = {
    "mean_ms": "latency_ms",
    "p50_ms": "p50_ms",
    "p90_ms": "p90_ms",
    "p95_ms": "p95_ms",
    "p99_ms": "p99_ms",
    "throughput_per_sec": "throughput_items_per_second",
}
"""Documented columns of the artifact's tables, and the names of the same figures in a state."""


def members(path: Path) -> frozenset[str]:
    """Names in a zip archive; empty for what is no such file.

    Raises:
        ArtifactError: it is a zip that must not be opened.
    """
    if not path.is_file():
        return frozenset()
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":
            return frozenset()
    with read_archive(path) as archive:
        return frozenset(archive.names)


@dataclass(frozen=True, slots=True, kw_only=True)
class PackagedRecord:
    """A record of a package, with the SHA-256 of its bytes: its file lay where it no longer is."""

    record: Record
    sha256: str


def read_records(path: Path) -> tuple[dict[str, PackagedRecord], tuple[TurnkeyError, ...]]:
    """The measurement records that a package carries by name, and an error per member that is none.

    A name is that of the member without its folders (``batch-4``), unless two have the same.
    """
    records: dict[str, PackagedRecord] = {}
    errors: list[TurnkeyError] = []
    with read_archive(path) as archive, tempfile.TemporaryDirectory(prefix="turnkey-compare-") as directory:
        names = [name for name in archive.names if name.endswith(".zip")][:_RECORDS]
        for index, name in enumerate(names):
            place = Path(directory) / f"{index}.zip"
            content = archive.read(name)
            place.write_bytes(content)
            try:
                short = Path(name).stem
                records[name if short in records else short] = PackagedRecord(
                    record=Record.load(place), sha256=hashlib.sha256(content).hexdigest()
                )
            except TurnkeyError as error:
                errors.append(error)
    return records, tuple(errors)


def read_results(path: Path) -> list[tuple[str, str, dict[str, Any]]]:
    """(class, candidate, figures) of the newest row of each candidate in each table; milliseconds.

    A candidate is an engine with batch size, thread count and input shapes, as far as the table says them.

    Raises:
        ArtifactError: a table is not as documented.
    """
    found: dict[tuple[str, str], dict[str, Any]] = {}
    with read_archive(path) as archive:
        for name in archive.names:
            if not name.endswith(".csv") or "/" in name:
                continue
            for row in csv.DictReader(io.StringIO(archive.text(name, limit_bytes=16 << 20))):
                engine = row.get("engine") or ""
                found[name.removesuffix(".csv"), _candidate(row)] = {
                    **{to: _number(row, column, where=f"{path}: {name}") for column, to in _NUMBERS.items()},
                    "runtime": engine,
                    "runtime_version": row.get("version"),
                    "device_type": row.get("device"),
                    "batch_size": row.get("batch_size"),
                    "threads": row.get("threads"),
                }
    return [(model, key, entry) for (model, key), entry in found.items()]


def _candidate(row: dict[str, str]) -> str:
    """``onnxruntime, batch 4, 2 threads, x[4,8]``; what a table of the original lacks is left out."""
    threads = row.get("threads")
    said = [row.get("engine") or "", f"batch {row.get('batch_size')}"]
    said += [f"{threads} thread{'' if threads == '1' else 's'}"] if threads else []
    return ", ".join([*said, *filter(None, [row.get("inputs")])])


def _number(row: dict[str, str], column: str, *, where: str) -> float:
    try:
        value = float(row[column])
    except (KeyError, TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise ArtifactError(
            f"a result table has no number in {column}", evidence=f"{where}: {row.get(column)!r} in {column}"
        )
    return value
