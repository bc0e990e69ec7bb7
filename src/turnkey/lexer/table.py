"""Rows of text as a table: plain, Markdown, HTML, for rich, or as a pandas frame."""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from typing import Any

from turnkey.errors import MissingDependencyError
from turnkey.report.aligned import aligned

Rows = Sequence[Sequence[str]]


def plain_table(headings: Sequence[str], rows: Rows) -> str:
    """Aligned columns, numbers to the right."""
    right = {column for column in range(len(headings)) if rows and all(_is_number(row[column]) for row in rows)}
    return aligned([headings, *rows], right=right)


def markdown_table(headings: Sequence[str], rows: Rows) -> str:
    def line(row: Sequence[str]) -> str:
        return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in row) + " |"

    return "\n".join([line(headings), "|" + "---|" * len(headings), *map(line, rows)]) + "\n"


def html_table(headings: Sequence[str], rows: Rows) -> str:
    """Every text escaped: names come from models."""

    def line(row: Sequence[str], tag: str) -> str:
        return "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"

    body = "\n".join(line(row, "td") for row in rows)
    return f"<table>\n<thead>{line(headings, 'th')}</thead>\n<tbody>\n{body}\n</tbody>\n</table>\n"


def rich_table(headings: Sequence[str], rows: Rows, *, title: str = "") -> Any:
    from rich.table import Table
    from rich.text import Text  # text from a model is not markup

    table = Table(title=Text(title) if title else None, title_justify="left")
    for heading in headings:
        table.add_column(Text(heading))
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def data_frame(rows: Sequence[Mapping[str, Any]]) -> Any:
    """A pandas frame. Raises MissingDependencyError if pandas is not installed."""
    try:
        import pandas  # type: ignore[import-untyped]  # its stubs are another distribution
    except ImportError as error:
        raise MissingDependencyError(
            "a data frame needs pandas", evidence=str(error), remedy="pip install 'turnkey[report]'"
        ) from error
    return pandas.DataFrame(list(rows))


def _is_number(text: str) -> bool:
    return text in ("–", "") or text[0].isdigit()
