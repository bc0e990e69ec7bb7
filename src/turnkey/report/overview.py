"""The table for people: one row per measured candidate, with the figures that a choice is made by."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import IO, Any

from turnkey.report.aligned import aligned
from turnkey.report.figure import NONE, number, size
from turnkey.report.rows import Table
from turnkey.report.source import ReportedBuild

_COLUMNS = ("build", "status", "candidate", "p50 ms", "p90 ms", "p99 ms", "items/s", "memory", "size", "verified", "")
_TEXT_COLUMNS = {"build", "status", "candidate", "verified", "", "model", "verdict", "changed", "steps", "on"}
_CHOSEN = "recommended"


def overview(builds: Iterable[ReportedBuild]) -> Table:
    """One row per candidate of each build; a build without measurements has one row that says how far it came."""
    rows: list[tuple[str, ...]] = []
    for build in builds:
        if not build.measurements:
            verified = str(build.statistics.get("verify_status") or NONE)
            rows.append((build.name, build.status, *[NONE] * 7, verified, _reason(build)))
        for entry in build.measurements:
            rows.append((build.name, build.status, *_figures(entry), _remark(build, entry)))
    return Table(columns=_COLUMNS, rows=tuple(rows))


def remedies(builds: Iterable[ReportedBuild]) -> tuple[str, ...]:
    """What to do about each reason for which a figure of the table is INVALID, one line each."""
    from turnkey.measure import validity

    entries = [entry for build in builds for entry in build.measurements if entry.get("validity") == "INVALID"]
    codes = dict.fromkeys(code for entry in entries for code in _codes(entry))
    return tuple(f"INVALID ({code}): {what}" for code in codes if (what := validity.remedy(code)))


def print_table(table: Table, file: IO[str] | None = None) -> None:
    """Print a table: with lines and wrapped cells on a terminal, else as plain aligned text, nothing wrapped or cut.

    Args:
        file: where to; None is stdout.
    """
    file = file or sys.stdout
    rows = [[_printable(cell) for cell in row] for row in table.rows]
    if not file.isatty():
        right = {index for index, column in enumerate(table.columns) if column not in _TEXT_COLUMNS}
        print(aligned([table.columns, *rows], right=right), file=file)
        return
    from rich.box import SIMPLE_HEAD  # costs tens of milliseconds: only on a terminal
    from rich.console import Console
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(box=SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for column in table.columns:
        is_text = column in _TEXT_COLUMNS
        may_wrap = is_text and column != "status"  # one word each
        grid.add_column(column, justify="left" if is_text else "right", no_wrap=not may_wrap, overflow="fold")
    for row in rows:
        # Text, not markup: names come from files of strangers.
        grid.add_row(*(Text(cell, style="green" if cell.startswith(_CHOSEN) else "") for cell in row))
    Console(file=file, highlight=False).print(grid)


def _figures(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        str(entry.get("key", NONE)),
        *(number(entry.get(f"p{percent}_ms")) for percent in (50, 90, 99)),
        number(entry.get("throughput_items_per_second")),
        size(entry.get("peak_memory_bytes")),
        size(entry.get("size_bytes")),
        str(entry.get("verification", NONE)).partition(":")[0],
    )


def _remark(build: ReportedBuild, entry: Mapping[str, Any]) -> str:
    if entry.get("error"):
        return f"failed: {str(entry['error']).splitlines()[0]}"
    remarks = [_CHOSEN] if build.chosen is not None and entry.get("key") == build.chosen else []
    if entry.get("validity") == "INVALID":
        codes = _codes(entry)
        remarks.append(f"INVALID ({', '.join(codes)})" if codes else "INVALID")
    return ", ".join(remarks)


def _codes(entry: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(str(reason).partition(":")[0] for reason in entry.get("reasons") or ()))


def _reason(build: ReportedBuild) -> str:
    lines = str(build.statistics.get("reason") or build.statistics.get("error_log") or "").splitlines()
    return lines[0] if lines and build.status != "successful" else ""


def _printable(text: str) -> str:
    """Without control characters: a name must not move the cursor."""
    return "".join(character if character.isprintable() else " " for character in text)
