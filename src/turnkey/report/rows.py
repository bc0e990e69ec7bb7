"""The three tables of a report: builds, measurements, errors. Text in every cell; no file is read or written here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.report.cell import MISSING, cell, columns_of, guarded
from turnkey.report.failures import failure_clusters
from turnkey.report.source import ReportedBuild

FIRST_COLUMNS = ("build_name", "build_status", "model_name", "class", "hash")
_MEASUREMENT_COLUMNS = ("build_name", "candidate", "variant", "runtime", "device_type", "threads")
_ERROR_COLUMNS = ("tool", "message", "count", "builds", "error_log")


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """Columns in order, and rows with one cell for each of them.

    Attributes:
        figures: columns that hold figures, which stand at the right end for people.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    figures: frozenset[str] = frozenset()


def build_table(builds: Iterable[ReportedBuild]) -> Table:
    """One row per build: the documented columns, then every other statistics key met, alphabetically."""
    found = [_cells({**build.statistics, "build_name": build.name, "build_status": build.status}) for build in builds]
    return _table(FIRST_COLUMNS, found)


def measurement_table(builds: Iterable[ReportedBuild]) -> Table:
    """One row per measured candidate; its own keys alphabetically after those that name it."""
    found = []
    for build in builds:
        for entry in build.measurements:
            key = entry.get("key")
            others = {name: value for name, value in entry.items() if name != "key"}
            chosen = build.is_chosen(entry)
            found.append(_cells({**others, "build_name": build.name, "candidate": key, "is_chosen": chosen}))
    return _table(_MEASUREMENT_COLUMNS, found)


def error_table(builds: Iterable[ReportedBuild]) -> Table:
    """One row per (tool, cause): how many builds, which, message and log of the first. Most frequent first."""
    rows = [
        (
            guarded(cluster.tool),
            guarded(cluster.message),
            str(len(cluster.builds)),
            guarded(" ".join(build.name for build in cluster.builds)),
            cell(cluster.log),
        )
        for cluster in failure_clusters(builds)
    ]
    return Table(columns=_ERROR_COLUMNS, rows=tuple(rows))


def _cells(values: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in values.items():
        for column, text in columns_of(str(key), value):
            if column in found:  # keys that differ in case alone, as operators of two domains may
                column = f"{column}-2"
            found[column] = text
    return found


def _table(first: Sequence[str], rows: Sequence[Mapping[str, str]]) -> Table:
    others = sorted({column for row in rows for column in row} - set(first))
    columns = (*first, *others)
    return Table(columns=columns, rows=tuple(tuple(row.get(column, MISSING) for column in columns) for row in rows))
