"""The files of a report: named after the day, never over an existing one, whole or not at all.

All files of one report share a stem, ``2026-03-01`` or, where any of its files is there already, ``2026-03-01-2``:
``<stem>.csv``, ``<stem>-measurements.csv``, ``errors-<stem>.csv``, ``<stem>.json``, ``<stem>.md``,
``<stem>.html``, and ``<stem>-history.html`` of the history.
"""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from datetime import date
from pathlib import Path
from typing import Any

from turnkey.pipeline import durable
from turnkey.pipeline.plain_data import finite
from turnkey.report.rows import Table

_NAMES: Mapping[str, str] = {
    "csv": "{stem}.csv",
    "measurements": "{stem}-measurements.csv",
    "errors": "errors-{stem}.csv",
    "json": "{stem}.json",
    "md": "{stem}.md",
    "html": "{stem}.html",
    "history": "{stem}-history.html",
}


def write_files(directory: Path, contents: Mapping[str, str], *, day: date) -> dict[str, Path]:
    """Write one report.

    Args:
        contents: text by kind, a key of `_NAMES`.
        day: what the files are named after.

    Returns:
        The path of each kind.

    Raises:
        InputError: the directory cannot be made or written; none of the files is left behind then.
    """
    durable.make_directory(directory)
    paths = _claim(directory, contents, day=day)
    try:
        for kind, text in contents.items():
            durable.write_text(paths[kind], text)
    except BaseException:
        with suppress(OSError):  # the first error is the one to tell
            _remove(paths)
        raise
    return paths


def csv_text(table: Table) -> str:
    """A table as CSV after RFC 4180. Its line ends matter: Python < 3.12 quotes a carriage return only beside them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(table.columns)
    writer.writerows(table.rows)
    return text.getvalue()


def json_text(content: Mapping[str, Any]) -> str:
    """A report as JSON; NaN and infinities become null, since JSON has none."""
    return json.dumps(finite(content), indent=1, ensure_ascii=False, default=str) + "\n"


def markdown_text(title: str, sections: Mapping[str, Table]) -> str:
    """Tables as a Markdown document; a cell can neither end its row nor become markup."""
    lines = [f"# {title}", ""]
    for heading, table in sections.items():
        lines += [f"## {heading}", "", _markdown_row(table.columns), _markdown_row(["---"] * len(table.columns))]
        lines += [_markdown_row([escaped(text) for text in row]) for row in table.rows]
        lines.append("")
    return "\n".join(lines)


def _claim(directory: Path, kinds: Collection[str], *, day: date) -> dict[str, Path]:
    """Make the report's files, empty, under a stem that nobody has; two reports at once get different ones."""
    number = 1
    while True:
        stem = day.isoformat() if number == 1 else f"{day.isoformat()}-{number}"
        claimed: dict[str, Path] = {}
        try:
            # Also those that this report does not write: a stem stands for one report.
            if not any((directory / name.format(stem=stem)).exists() for name in _NAMES.values()):
                for kind in kinds:
                    path = directory / _NAMES[kind].format(stem=stem)
                    os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
                    claimed[kind] = path
                return claimed
        except FileExistsError:
            _remove(claimed)
        except OSError as error:
            _remove(claimed)
            raise durable.cannot_write(directory, error) from error
        number += 1


def _remove(claimed: Mapping[str, Path]) -> None:
    for path in claimed.values():
        path.unlink(missing_ok=True)


def _markdown_row(cells: Collection[str]) -> str:
    return f"| {' | '.join(cells)} |"


def escaped(text: str) -> str:
    """Text as Markdown that is nothing but text: one line, no markup."""
    for character in "\\`*_{}[]<>#|":
        text = text.replace(character, f"\\{character}")
    return " ".join(text.split())
