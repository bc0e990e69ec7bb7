"""The history: one local SQLite file with the figures of every record that was added, one row per candidate.

Schema (``PRAGMA user_version``):
    1  table ``measurement``, primary key (``record_sha256``, ``candidate``): adding a record twice changes nothing
    2  column ``objective``; files of 1, whose latencies are of medians, get it when they are opened

Figures only: the samples stay in the records. A file of a newer schema, or one that is no such database, is refused.
Two processes may add at once; SQLite's own locks see to that.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, fields
from pathlib import Path

from turnkey.errors import ArtifactError, InputError
from turnkey.measure import Record
from turnkey.pipeline import durable
from turnkey.pipeline.source_file import file_sha256
from turnkey.report.figure import is_number
from turnkey.report.measured import Side

SCHEMA = 2
_WAIT_S = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryRow:
    """One candidate of one record; milliseconds, bytes, None where it was not measured.

    Attributes:
        utc: when it was measured, ISO-8601.
        label: what the user called it (a commit, a version); empty if nothing.
        objective: statistic of a round's calls that the latency is of.
    """

    record_sha256: str
    candidate: str
    utc: str
    model: str
    label: str
    latency_ms: float
    low_ms: float | None
    high_ms: float | None
    p99_ms: float | None
    throughput_per_s: float | None
    peak_memory_bytes: int | None
    size_bytes: int | None
    validity: str
    processor: str
    threads: int | None
    runtime: str
    runtime_version: str
    turnkey_version: str
    objective: str = "median"

    @property
    def series(self) -> tuple[str, str, str, int | None, str]:
        """What must be equal for two rows to be points of one trend."""
        return self.model, self.candidate, self.processor, self.threads, self.objective


_COLUMNS = tuple(field.name for field in fields(HistoryRow))


def rows_of(side: Side, *, label: str, prefix: str = "") -> list[HistoryRow]:
    """Rows of measured candidates; those whose record is gone, or that have no latency, give none.

    Args:
        prefix: of every model's name. The name is that of the build, or of a package and its record: it never
            depends on what else is added, so that a series goes on from call to call.
    """
    digests: dict[int, str] = {}
    within = f"{prefix}{side.package}/" if side.package else prefix
    found = []
    for item in side.items:
        record = item.record
        if record is None or item.candidate not in record.measured:
            continue
        digest = item.record_sha256 or digests.setdefault(id(record), _digest(record))
        summary = record.summary(item.candidate)
        assert summary.latency_ms is not None, "what is measured has a latency"
        size = item.entry.get("size_bytes")
        found.append(
            HistoryRow(
                record_sha256=digest,
                candidate=item.candidate,
                utc=str(record.run["utc"]),
                model=within + item.model,
                label=label,
                latency_ms=summary.latency_ms,
                low_ms=summary.low_ms,
                high_ms=summary.high_ms,
                p99_ms=summary.percentiles_ms.get(99),
                throughput_per_s=summary.throughput_per_s,
                peak_memory_bytes=summary.peak_memory_bytes,
                size_bytes=int(size) if is_number(size) else None,
                validity=summary.validity,
                processor=str(record.run["environment"].get("processor") or ""),
                threads=summary.threads,
                runtime=str(summary.facts.get("runtime") or ""),
                runtime_version=str(summary.facts.get("runtime_version") or ""),
                turnkey_version=str(record.run["tool"]["version"]),
                objective=record.settings.objective,
            )
        )
    return found


class History:
    """An open history file; made where it is missing.

    Raises:
        InputError: it cannot be made or opened.
        ArtifactError: it is no history, or of a newer schema.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        durable.make_directory(path.parent)
        with self._connected() as connection:
            connection.execute("BEGIN IMMEDIATE")  # of two that open an older file one widens it
            version = connection.execute("PRAGMA user_version").fetchone()[0]
            tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if version > SCHEMA or (version == 0 and tables):
                raise ArtifactError(
                    f"{path.name} is not a history that this Turnkey can read",
                    evidence=f"{path}: schema {version}, tables: {', '.join(sorted(tables)) or 'none'}",
                    remedy="give another file: turnkey history --file FILE",
                )
            columns = f"{', '.join(_COLUMNS)}, PRIMARY KEY (record_sha256, candidate)"
            connection.execute(f"CREATE TABLE IF NOT EXISTS measurement ({columns})")
            if version == 1:
                connection.execute("ALTER TABLE measurement ADD COLUMN objective DEFAULT 'median'")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")

    def add(self, rows: Sequence[HistoryRow]) -> int:
        """Keep these rows; how many of them are new."""
        places = ", ".join("?" * len(_COLUMNS))
        with self._connected() as connection:
            before = connection.total_changes
            connection.executemany(f"INSERT OR IGNORE INTO measurement VALUES ({places})", map(astuple, rows))
            return connection.total_changes - before

    def rows(self) -> list[HistoryRow]:
        """All rows, the oldest first.

        Raises:
            ArtifactError: a row is not as written.
        """
        query = f"SELECT {', '.join(_COLUMNS)} FROM measurement ORDER BY utc, record_sha256, candidate"
        with self._connected() as connection:
            found = [HistoryRow(**dict(zip(_COLUMNS, values, strict=True))) for values in connection.execute(query)]
        for row in found:
            if not is_number(row.latency_ms) or row.latency_ms <= 0:
                raise ArtifactError(
                    f"{self.path.name} holds a row without a latency",
                    evidence=f"{self.path}: {row.model}, {row.candidate}: {row.latency_ms!r}",
                    remedy="move the file away; history makes it anew from the caches",
                )
        return found

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A transaction: kept when the block ends, undone when it raises."""
        try:
            with closing(sqlite3.connect(self.path, timeout=_WAIT_S)) as connection, connection:
                yield connection
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError) and "not a database" not in str(error):
                raise InputError(
                    f"the history {self.path.name} cannot be used", evidence=f"{self.path}: {error}"
                ) from error
            raise ArtifactError(
                f"{self.path.name} is not a history",
                evidence=f"{self.path}: {error}",
                remedy="give another file: turnkey history --file FILE",
            ) from error


def _digest(record: Record) -> str:
    if record.path is not None and record.path.is_file():
        return file_sha256(record.path)
    return hashlib.sha256(f"{record.run['utc']} {record.run['variants']}".encode()).hexdigest()
