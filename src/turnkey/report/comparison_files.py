"""The files of a comparison: named after the day like a report's, never over an existing one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from turnkey.report.comparison import Comparison
from turnkey.report.comparison_view import comparison_json, comparison_page, comparison_table, sentence
from turnkey.report.files import json_text, markdown_text, write_files
from turnkey.version import __version__

SCHEMA_VERSION = 1


def write_comparison(
    comparisons: Sequence[Comparison], directory: Path, *, formats: Sequence[str] = ("md",)
) -> Mapping[str, Path]:
    """Write a comparison; the path of each format.

    Raises:
        InputError: the files cannot be written.
        MissingDependencyError: HTML was asked for, without its template engine.
    """
    moment = datetime.now(UTC)
    title = f"Turnkey comparison, {moment:%Y-%m-%d}"
    texts: dict[str, str] = {}
    if "md" in formats:
        texts["md"] = markdown_text(title, {sentence(found): comparison_table(found) for found in comparisons})
    if "html" in formats:
        texts["html"] = comparison_page(comparisons, title=title)
    if "json" in formats:
        texts["json"] = json_text(
            {
                "schema_version": SCHEMA_VERSION,
                "turnkey_version": __version__,
                "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "comparisons": [comparison_json(found) for found in comparisons],
            }
        )
    return write_files(directory, texts, day=moment.date())
