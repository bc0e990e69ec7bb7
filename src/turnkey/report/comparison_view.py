"""A comparison as a table, as plain data, and as a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from turnkey.report.comparison import Comparison, Pair
from turnkey.report.entry import latency_text
from turnkey.report.figure import NONE, is_number, number, size
from turnkey.report.plots import Bar, interval_plot
from turnkey.report.rows import Table

_COLUMNS = ("model", "candidate", "first ms", "second ms", "verdict", "changed")
_FIGURES = frozenset({"first ms", "second ms"})
_PLOTTED = 60


def comparison_table(comparison: Comparison) -> Table:
    """One row per candidate."""
    rows = [
        (
            pair.model,
            pair.candidate,
            _latency(pair, first=True),
            _latency(pair, first=False),
            pair.answer,
            changes_text(pair),
        )
        for pair in comparison.pairs
    ]
    return Table(columns=_COLUMNS, rows=tuple(rows), figures=_FIGURES)


def sentence(comparison: Comparison) -> str:
    """The comparison in one line."""
    decided = [pair for pair in comparison.pairs if pair.is_decided]
    kinds: dict[str, int] = {}
    for pair in decided:
        assert pair.between is not None
        assert pair.between.verdict is not None
        word = f"{pair.between.verdict.kind}" + ("" if pair.between.verdict.is_valid else " INVALID")
        kinds[word] = kinds.get(word, 0) + 1
    apart = sum(bool(pair.between and pair.between.differences) for pair in comparison.pairs)
    said = [f"{n} {word}" for word, n in sorted(kinds.items())]
    said += [f"{apart} not comparable"] if apart else []
    rest = len(comparison.pairs) - len(decided) - apart
    said += [f"{rest} without a verdict"] if rest else []
    return f"{comparison.other.label} against {comparison.base.label}: {', '.join(said) or 'nothing in common'}"


def comparison_json(comparison: Comparison) -> dict[str, Any]:
    """The same facts as plain data."""
    return {
        "base": comparison.base.label,
        "other": comparison.other.label,
        "sentence": sentence(comparison),
        "pairs": [_pair_json(pair) for pair in comparison.pairs],
    }


def comparison_page(comparisons: Sequence[Comparison], *, title: str) -> str:
    """One HTML file. Raises MissingDependencyError without Jinja2."""
    from turnkey.report.page import render

    return render(
        "comparison.html.j2",
        title=title,
        sentences=[sentence(comparison) for comparison in comparisons],
        parts_of=[
            {
                "heading": f"{comparison.other.label} against {comparison.base.label}",
                "svg": _plot(comparison),
                "rows": [
                    {
                        "pair": pair,
                        "first": _latency(pair, first=True),
                        "second": _latency(pair, first=False),
                        "ratio": _ratio(pair),
                        "changed": changes_text(pair),
                        "notes": "; ".join(_notes(pair)),
                    }
                    for pair in comparison.pairs
                ],
            }
            for comparison in comparisons
        ],
    )


def changes_text(pair: Pair) -> str:
    """``size 44.0 MiB → 11.2 MiB``."""
    return ", ".join(
        f"{name.removesuffix('_bytes').replace('_', ' ')} {_value(name, old)} → {_value(name, new)}"
        for name, (old, new) in pair.changes.items()
    )


def _plot(comparison: Comparison) -> str:
    bars: list[Bar] = []
    for pair in comparison.pairs:
        found = pair.between.verdict if pair.between else None
        if found is not None and math.isfinite(found.high):
            label = " ".join(filter(None, (pair.model, pair.candidate)))
            bars.append(
                Bar(
                    label=label,
                    index=len(bars),
                    center=found.ratio,
                    low=found.low,
                    high=found.high,
                    doubtful=not found.is_valid,
                )
            )
    if not bars or len(bars) > _PLOTTED:
        return ""
    title = f"{comparison.other.label} against {comparison.base.label}"
    return interval_plot(bars, title=title, label="time of the first / time of the second", center_line=1.0)


def _pair_json(pair: Pair) -> dict[str, Any]:
    between = pair.between
    found = between.verdict if between else None
    return {
        "model": pair.model,
        "candidate": pair.candidate,
        "answer": pair.answer,
        "base_latency_ms": None if pair.base is None else pair.base.entry.get("latency_ms"),
        "other_latency_ms": None if pair.other is None else pair.other.entry.get("latency_ms"),
        "verdict": None
        if found is None
        else {
            "kind": str(found.kind),
            "ratio": found.ratio,
            "low": found.low,
            "high": found.high if math.isfinite(found.high) else None,
            "rounds": found.rounds,
            "level": found.level,
            "valid": found.is_valid,
        },
        "differences": {} if between is None else {name: list(values) for name, values in between.differences.items()},
        "changes": {name: list(values) for name, values in pair.changes.items()},
        "notes": _notes(pair),
    }


def _notes(pair: Pair) -> list[str]:
    if pair.between is None:
        return []
    verdict = pair.between.verdict
    return list(dict.fromkeys([*pair.between.notes, *(verdict.notes if verdict else ())]))


def _latency(pair: Pair, *, first: bool) -> str:
    item = pair.base if first else pair.other
    return NONE if item is None else latency_text(item.entry)


def _ratio(pair: Pair) -> float | None:
    verdict = pair.between.verdict if pair.between else None
    return None if verdict is None else verdict.ratio


def _value(name: str, value: Any) -> str:
    if name.endswith("_bytes"):
        return size(value)
    return number(value) if is_number(value) else str(value)
