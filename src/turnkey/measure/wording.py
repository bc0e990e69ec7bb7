"""A record in plain words: who is fastest, by how much, who ties, and what is in doubt."""

from __future__ import annotations

from typing import TYPE_CHECKING

from turnkey.measure.budget import BUDGET_SPENT
from turnkey.measure.verdict import Kind, Verdict, ratio_text

if TYPE_CHECKING:
    from turnkey.measure.record import Record


def sentence(record: Record) -> str:
    """One line: ``onnxruntime is 2.31× [2.27, 2.36] faster than torch; torch-compile ties with it within 2 %``."""
    best, reference = record.fastest, record.reference
    if best is None or reference is None:
        failed = [key for key in record.keys if key not in record.measured]
        return f"nothing could be measured: {', '.join(failed)} failed" if failed else "nothing was measured"
    if len(record.measured) == 1:
        own = record.summary(best)
        bounds = "" if own.low_ms is None or own.high_ms is None else f" [{own.low_ms:.3g}, {own.high_ms:.3g}]"
        said = f"{best} takes {own.latency_ms:.3g} ms{bounds} per call"
        return said + _caveats(record)
    within = f"within {100 * record.settings.delta:.3g} %"
    parts = [_about_best(record, best, reference, within)]
    ties, others = [], []
    for key in record.measured:
        if key in (best, reference):
            continue
        against_best = record.verdict(key, against=best)
        if against_best is not None and against_best.is_tie:
            ties.append(key)
            continue
        found = record.verdict(key) if reference != best else against_best
        if found is not None:
            others.append(f"{key} {_compared(found)}")
    if ties:
        parts.append(f"{_listed(ties)} {'ties' if len(ties) == 1 else 'tie'} with it {within}")
    return "; ".join([*parts, *others]) + _caveats(record)


def _about_best(record: Record, best: str, reference: str, within: str) -> str:
    if best == reference:
        found = [record.verdict(key) for key in record.measured if key != best]
        is_open = any(item is None or item.kind is Kind.UNDECIDED for item in found)
        return f"{best} is the fastest of {len(record.measured)}" + (" so far" if is_open else "")
    verdict = record.verdict(best)
    if verdict is None:
        return f"{best} cannot be compared with {reference}"
    if verdict.is_tie:
        return f"{best} and {reference} tie {within}"
    return f"{best} {_compared(verdict)}"


def _compared(found: Verdict) -> str:
    """``is 2.31× [2.27, 2.36] faster than torch``: always the larger time over the smaller."""
    ratio, low, high = found.ratio, found.low, found.high
    than = f" than {found.reference}"
    if found.kind is Kind.FASTER:
        return f"is {ratio_text(ratio, low, high)} faster{than}"
    if found.kind is Kind.SLOWER:
        return f"is {ratio_text(1 / ratio, 1 / high, 1 / low)} slower{than}"
    if found.kind is Kind.SAME:
        return f"ties with {found.reference}"
    return f"cannot be told from {found.reference} yet ({ratio_text(ratio, low, high)})"


def _caveats(record: Record) -> str:
    objective = record.settings.objective
    said = [] if objective == "median" else [f"by the {objective} of each round"]
    failed = [key for key in record.keys if key not in record.measured or record.summary(key).error is not None]
    if failed:
        said.append(f"{_listed(failed)} failed")
    said += [note for note in record.run.get("notes", ()) if note.startswith(BUDGET_SPENT)]
    invalid = sorted({item.code for item in record.reasons if item.code != "crashed"})
    if invalid:
        said.append(f"INVALID: {', '.join(invalid)}")
    return f" ({'; '.join(said)})" if said else ""


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
