"""What a gate found: for the terminal, for a pull request, and as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from turnkey.report.figure import NONE, number, size
from turnkey.report.files import escaped
from turnkey.report.gate.exact import ExactResult
from turnkey.report.gate.judgement import Answer, Judgement, overall

_MARKS = {Answer.PASS: "✅", Answer.REGRESSION: "❌", Answer.UNDECIDED: "❔", Answer.INVALID: "⚠️"}
_HEADLINES = {
    Answer.PASS: "no input is slower than the limit allows",
    Answer.REGRESSION: "a regression is proven",
    Answer.UNDECIDED: "not decided: the limit lies inside an interval",
    Answer.INVALID: "invalid: something keeps the comparison from being used",
}


def headline(judgements: Sequence[Judgement], *, limit: float) -> str:
    """One line: the answer and the limit."""
    answer = overall(judgements)
    return f"{answer.name}: {_HEADLINES[answer]} (limit {100 * limit:g} %)"


def text_of(judgements: Sequence[Judgement], *, limit: float) -> str:
    """For the terminal."""
    lines = []
    for item in judgements:
        slowdown = NONE if item.slowdown is None else f"{item.slowdown} in {item.slowdown.rounds} rounds"
        lines.append(f"{item.answer.name:<10} {item.name}: {slowdown}")
        lines += [f"           {cause}" for cause in item.causes]
        if unknown := _unknown(item):
            lines.append(f"           not known of both sides, so not compared: {unknown}")
        if item.error is not None:
            lines += [f"           {line}" for line in str(item.error).splitlines()[1:]]
    return "\n".join([*lines, headline(judgements, limit=limit)])


def markdown_of(judgements: Sequence[Judgement], *, limit: float) -> str:
    """For a pull request: a table of inputs, a table of exact figures that changed, and what went wrong."""
    answer = overall(judgements)
    lines = [f"### {_MARKS[answer]} Turnkey gate: {headline(judgements, limit=limit)}", ""]
    if judgements:
        lines += [
            f"Base {escaped(judgements[0].base)}, head {escaped(judgements[0].head)}, one interleaved experiment.",
            "",
        ]
    lines += ["| | input | base ms | head ms | slow-down [95 %] |", "|---|---|---:|---:|---|"]
    for item in judgements:
        slowdown = NONE if item.slowdown is None else str(item.slowdown)
        cells = (f"{_MARKS[item.answer]} {item.answer.name}", escaped(item.name), number(item.base_ms))
        lines.append(f"| {' | '.join(cells)} | {number(item.head_ms)} | {slowdown} |")
    changed = [
        (item, result) for item in judgements for result in item.exact if result.change not in ("equal", "not known")
    ]
    if changed:
        lines += ["", "| input | exact figure | base | head | |", "|---|---|---:|---:|---|"]
        for item, result in changed:
            values = f"{_shown(result, result.base)} | {_shown(result, result.head)}"
            lines.append(f"| {escaped(item.name)} | {result.metric} | {values} | {result.change} |")
    for item in judgements:
        if unknown := _unknown(item):
            lines += ["", f"Not known of both sides of {escaped(item.name)}, so not compared: {unknown}."]
    causes = [f"- {escaped(item.name)}: {escaped(cause)}" for item in judgements for cause in item.causes]
    if causes:
        lines += ["", *causes]
    return "\n".join(lines) + "\n"


def json_of(judgements: Sequence[Judgement], *, limit: float) -> dict[str, Any]:
    """Plain data under a stable schema."""
    return {
        "answer": overall(judgements).name,
        "limit": limit,
        "inputs": [
            {
                "input": item.name,
                "answer": item.answer.name,
                "base": item.base,
                "head": item.head,
                "base_ms": item.base_ms,
                "head_ms": item.head_ms,
                "slowdown": None
                if item.slowdown is None
                else {
                    "estimate": item.slowdown.estimate,
                    "low": item.slowdown.low,
                    "high": item.slowdown.high,
                    "rounds": item.slowdown.rounds,
                    "exceeds": item.slowdown.exceeds,
                },
                "exact": [
                    {"metric": r.metric, "base": r.base, "head": r.head, "change": str(r.change)} for r in item.exact
                ],
                "causes": list(item.causes),
                "error": None if item.error is None else item.error.to_dict(),
            }
            for item in judgements
        ],
    }


def _unknown(item: Judgement) -> str:
    return ", ".join(result.metric for result in item.exact if result.change == "not known")


def _shown(result: ExactResult, value: int | str | None) -> str:
    if value is None:
        return NONE
    return size(value) if result.metric in ("size", "memory") else f"{value:,}" if isinstance(value, int) else value
