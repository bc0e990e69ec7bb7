"""A report of some caches: the table for the terminal, and its files in the formats asked for."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError, TurnkeyError, UsageError
from turnkey.pipeline import durable
from turnkey.report.cell import unguarded
from turnkey.report.files import csv_text, json_text, markdown_text, write_files
from turnkey.report.overview import overview, remedies
from turnkey.report.rows import Table, build_table, error_table, measurement_table
from turnkey.report.source import ReportedBuild, collect
from turnkey.version import __version__

FORMATS = ("csv", "html", "json", "md")
SCHEMA_VERSION = 1
"""Of the JSON file: keys may be added under the same version, none change their meaning."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was written.

    Attributes:
        overview: the table for the terminal.
        remedies: what to do about the figures in it that are INVALID.
        files: path by kind: ``csv``, ``measurements``, ``errors``, ``json``, ``md``, ``html``.
        content: the same facts as plain data, as in the JSON file.
        unreadable: an error per cache or build that could not be read; the report is of all others.
    """

    overview: Table
    remedies: tuple[str, ...]
    files: Mapping[str, Path]
    content: Mapping[str, Any]
    unreadable: tuple[TurnkeyError, ...]


def write_report(
    caches: Iterable[Path], directory: Path, *, formats: Sequence[str] = ("csv",), only: Collection[str] | None = None
) -> Report:
    """Write a report of all builds of these caches.

    Args:
        directory: where the files go; made if it is missing.
        formats: of `FORMATS`.
        only: names of the builds wanted; None means all.

    Raises:
        UsageError: an unknown format.
        InputError, ArtifactError: none of the builds can be read, or the files cannot be written.
        MissingDependencyError: the HTML page's template engine is not installed.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown:
        raise UsageError(f"there is no report format {unknown[0]!r}", evidence=f"formats: {', '.join(FORMATS)}")
    found = collect(caches, only=only)
    if found.unreadable and not found.builds:
        raise found.unreadable[0]  # a report of nothing would be a file of headings
    moment = datetime.now(UTC)
    shown = overview(found.builds)
    measurements, errors = measurement_table(found.builds), error_table(found.builds)
    content = {
        "schema_version": SCHEMA_VERSION,
        "turnkey_version": __version__,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "builds": [
            {
                "cache_dir": str(build.cache_dir),
                "build_name": build.name,
                "build_status": build.status,
                "chosen": build.chosen,
                "statistics": dict(build.statistics),
                "measurements": [dict(entry) for entry in build.measurements],
            }
            for build in found.builds
        ],
        "unreadable": [error.to_dict() for error in found.unreadable],
    }
    texts: dict[str, str] = {}
    if "csv" in formats:
        texts["csv"] = csv_text(build_table(found.builds))
        if measurements.rows:
            texts["measurements"] = csv_text(measurements)
        if errors.rows:
            texts["errors"] = csv_text(errors)
    if "json" in formats:
        texts["json"] = json_text(content)
    if "md" in formats:
        sections = {"Models": shown, **({"Errors": errors} if errors.rows else {})}
        texts["md"] = markdown_text(f"Turnkey report, {moment:%Y-%m-%d}", sections)
    if "html" in formats:
        from turnkey.report.page import report_page  # imports the engine: only when the page is asked for

        texts["html"] = report_page(
            found.builds, title=f"Turnkey report, {moment:%Y-%m-%d}", unreadable=found.unreadable
        )
    files = write_files(directory, texts, day=moment.date())
    return Report(
        overview=shown, remedies=remedies(found.builds), files=files, content=content, unreadable=found.unreadable
    )


def write_record_page(records: Sequence[Path], directory: Path) -> Path:
    """Write the HTML page of measurement records that stand for themselves, every number from their samples.

    Raises:
        InputError, ArtifactError: there is no record at a path, or the page cannot be written.
        MissingDependencyError: the page's template engine is not installed.
    """
    from turnkey.report.page import report_page

    moment = datetime.now(UTC)
    builds = [
        ReportedBuild(
            cache_dir=path.parent.parent,
            name=path.parent.name,
            status="successful",
            statistics={},
            measurements=_entries(path),
        )
        for path in records
    ]
    names = [path.name for path in records]
    page = report_page(builds, title=f"Turnkey report, {moment:%Y-%m-%d}", names=names)
    return write_files(directory, {"html": page}, day=moment.date())["html"]


def _entries(path: Path) -> tuple[Mapping[str, Any], ...]:
    """What a state would keep of a record."""
    from turnkey.measure import LoadResult
    from turnkey.report.measured import of_record
    from turnkey.report.recorded import read_record

    record = read_record(path)
    if isinstance(record, LoadResult):
        return ({"key": record.key, "validity": record.validity, "load_record": path.name},)
    return tuple({**item.entry, "record": path.name} for item in of_record(record, model=path.name))


def get_dict(report_csv: str | Path, columns: Sequence[str]) -> dict[str, dict[str, str]]:
    """Some columns of a CSV report by model.

    Returns:
        ``{model_name: {column: value}}``, values as texts, ``-`` where a build has none. Of several builds of one
        model name the last row counts.

    Raises:
        ArtifactError: the file cannot be read, or is no report.
        UsageError: the report has no such column.
    """
    path = Path(report_csv)
    try:
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file, strict=True)
            known = [unguarded(name) for name in reader.fieldnames or ()]
            reader.fieldnames = known
            rows = list(reader)
    except OSError as error:
        raise durable.cannot_read(path, error) from error
    except (csv.Error, UnicodeDecodeError) as error:
        raise ArtifactError(f"{path.name} is not a CSV file", evidence=f"{path}: {error}") from error
    if "model_name" not in known:
        raise ArtifactError(
            f"{path.name} is no report of Turnkey's",
            evidence=f"{path} has no column model_name",
            remedy="turnkey report --output-dir DIR   # writes one",
        )
    missing = [column for column in columns if column not in known]
    if missing:
        raise UsageError(f"the report has no column {missing[0]!r}", evidence=f"columns: {', '.join(known)}")
    return {
        unguarded(row["model_name"] or ""): {column: unguarded(row[column] or "") for column in columns}
        for row in rows
    }
