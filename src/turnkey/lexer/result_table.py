"""The result tables of an artifact: rows as CSV text, and rows from text that somebody else wrote."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from types import UnionType
from typing import Any, get_args, get_type_hints

from turnkey.lexer.row import COLUMNS, BenchmarkRow
from turnkey.measure.validity import REASONS

_ROW_LIMIT = 100_000
_MS2_PER_S2 = 1e6
_ORIGINAL_COLUMNS = COLUMNS[:15]
_KINDS = "|".join(rf"{code}: .*? \({re.escape(remedy)}\)" for code, (_, _, remedy) in REASONS.items())
_REASON = re.compile(rf"(?:^|; )({_KINDS})", re.DOTALL)
"""A reason as it stands among notes."""
_TYPES = get_type_hints(BenchmarkRow)


def csv_text(rows: Iterable[BenchmarkRow]) -> str:
    """A header and one line per row; plain decimal numbers; nothing that a spreadsheet would execute."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow([_cell(value) for value in row.to_dict().values()])
    return stream.getvalue()


def read_rows(text: str, *, class_name: str, is_original: bool) -> Iterator[BenchmarkRow]:
    """The rows of a table, ours or one of the original.

    Args:
        class_name: of rows that do not say it.
        is_original: variances are s², and are brought to ms².

    Raises:
        ValueError: a column of the original is missing, a cell is of the wrong kind (with its line), or there are more
            rows than anybody measures.
    """
    reader = csv.DictReader(io.StringIO(text), restval="")
    try:
        missing = [column for column in _ORIGINAL_COLUMNS if column not in (reader.fieldnames or ())]
        if missing:
            raise ValueError(f"lacks the columns {', '.join(missing)}")
        for number, cells in enumerate(reader):
            if number >= _ROW_LIMIT:
                raise ValueError(f"has more than {_ROW_LIMIT} rows")
            try:
                row = _row(cells, class_name=class_name, is_original=is_original)
            except ValueError as error:
                raise ValueError(f"line {reader.line_num}: {error}") from error
            yield row
    except csv.Error as error:
        raise ValueError(f"line {reader.line_num}: {error}") from error


def _cell(value: Any) -> str:
    import numpy as np

    from turnkey.report.cell import guarded

    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if not np.isfinite(value):  # of an artifact that did not have it
            return ""
        return str(np.format_float_positional(value, trim="0"))
    return guarded(str(value))


def _row(cells: Mapping[str, Any], *, class_name: str, is_original: bool) -> BenchmarkRow:
    """A line as a row; columns that we do not know are left alone. Raises ValueError for a cell of the wrong kind."""
    from turnkey.report.cell import unguarded

    known = {name for name in COLUMNS if cells.get(name)}
    values = {name: _value(name, unguarded(str(cells[name]))) for name in known}
    values.setdefault("class_name", class_name)
    for column in _ORIGINAL_COLUMNS:
        values.setdefault(column, "" if _TYPES[column] is str else math.nan if _TYPES[column] is float else 0)
    if is_original:
        values["variance"] *= _MS2_PER_S2
    variance = values["variance"]
    values.setdefault("std_ms", math.sqrt(variance) if variance >= 0 else math.nan)
    if not values.get("valid", True):
        values["reasons"] = tuple(_REASON.findall(str(values.get("notes", ""))))
    return BenchmarkRow(**values)


def _value(name: str, text: str) -> Any:
    kind = _TYPES[name]
    if isinstance(kind, UnionType):
        kind = next(each for each in get_args(kind) if each is not type(None))
    if kind is bool:
        if text not in ("true", "false"):
            raise ValueError(f"{name} is {text!r}")
        return text == "true"
    if kind is str:
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{name} is {text!r}")
    return int(value) if kind is int else value
