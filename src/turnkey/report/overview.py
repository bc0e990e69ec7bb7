"""The table for people: one row per measured candidate, with the figures that a choice is made by."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from turnkey.report.figure import NONE, number, size
from turnkey.report.remark import invalid_codes, remark
from turnkey.report.rows import Table
from turnkey.report.source import ReportedBuild

_FIGURES = ("p50 ms", "p90 ms", "p99 ms", "items/s", "memory", "size")
_COLUMNS = ("build", "status", "candidate", *_FIGURES, "verified", "")


def overview(builds: Iterable[ReportedBuild]) -> Table:
    """One row per candidate of each build; a build without measurements has one row that says how far it came."""
    rows: list[tuple[str, ...]] = []
    for build in builds:
        if not build.measurements:
            verified = str(build.statistics.get("verify_status") or NONE)
            rows.append((build.name, build.status, *[NONE] * (1 + len(_FIGURES)), verified, _reason(build)))
        for entry in build.measurements:
            said = remark(entry, is_chosen=build.is_chosen(entry))
            rows.append((build.name, build.status, *_figures(entry), said))
    return Table(columns=_COLUMNS, rows=tuple(rows), figures=frozenset(_FIGURES))


def remedies(builds: Iterable[ReportedBuild]) -> tuple[str, ...]:
    """What to do about each reason for which a figure of the table is INVALID, one line each."""
    from turnkey.measure import validity

    entries = [entry for build in builds for entry in build.measurements if entry.get("validity") == "INVALID"]
    codes = dict.fromkeys(code for entry in entries for code in invalid_codes(entry))
    return tuple(f"INVALID ({code}): {what}" for code in codes if (what := validity.remedy(code)))


def _figures(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry.get("key", NONE)),
        *(number(entry.get(f"p{percent}_ms")) for percent in (50, 90, 99)),
        number(entry.get("throughput_items_per_second")),
        size(entry.get("peak_memory_bytes")),
        size(entry.get("size_bytes")),
        str(entry.get("verification", NONE)).partition(":")[0],
    )


def _reason(build: ReportedBuild) -> str:
    lines = str(build.statistics.get("reason") or build.statistics.get("error_log") or "").splitlines()
    return lines[0] if lines and build.status != "successful" else ""
