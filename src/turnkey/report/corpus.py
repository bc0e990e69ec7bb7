"""What can be said of many models together: pass rates, recommendations, the proven differences, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from turnkey.report.figure import count, number
from turnkey.report.model_section import ModelSection
from turnkey.report.plots import Bar
from turnkey.report.source import ReportedBuild

_STATUS = "tool_status:"
_PASSED = "successful"
_FAMILY = "class"
"""Statistic that says which family of models a build belongs to."""


Rates = Sequence[tuple[str, int, int]]
"""(name, how many passed, of how many)."""


def is_any_short(rates: Rates) -> bool:
    """Whether something did not pass: only then do rates say more than a sentence."""
    return any(passed < of for _, passed, of in rates)


def pass_rates(builds: Sequence[ReportedBuild]) -> Rates:
    """By tool, of the builds in which it ran, in the order in which the tools ran, then by format."""
    passed: Counter[str] = Counter()
    ran: Counter[str] = Counter()
    for build in builds:
        for key, status in build.statistics.items():
            if key.startswith(_STATUS) and status not in ("not_started", "skipped"):
                tool = key.removeprefix(_STATUS)
                ran[tool] += 1
                passed[tool] += status == _PASSED
    for build in builds:
        for entry in build.conversions:
            step = f"to {entry.get('format')}"
            ran[step] += 1
            passed[step] += entry.get("outcome") == "made"
    return [(tool, passed[tool], number_of) for tool, number_of in ran.items()]


def label_rates(builds: Iterable[ReportedBuild]) -> dict[str, Rates]:
    """By label, and by class of the model: its values, of builds that were successful, the most frequent first.

    Only what groups builds: a label that has several values, not each of them once. Skipped builds do not count.
    """
    ran: dict[str, Counter[str]] = {}
    passed: dict[str, Counter[str]] = {}
    for build in builds:
        family = build.statistics.get(_FAMILY)
        groups = {**build.labels, **({_FAMILY: (str(family),)} if family else {})}
        for key, values in groups.items() if build.status != "skipped" else ():
            for value in values:
                ran.setdefault(key, Counter())[value] += 1
                passed.setdefault(key, Counter())[value] += build.status == _PASSED
    return {
        key: [(value, passed[key][value], number_of) for value, number_of in counts.most_common()]
        for key, counts in ran.items()
        if 1 < len(counts) < counts.total()
    }


def ratio_bars(sections: Iterable[ModelSection]) -> list[Bar]:
    """The ratio of each model's recommended candidate to its reference, where there is a verdict about it."""
    runtimes: dict[str, int] = {}
    bars = []
    for section in sections:
        row = section.chosen
        if row is not None and row.ratio is not None:
            index = runtimes.setdefault(row.runtime, len(runtimes))
            bars.append(
                Bar(
                    label=f"{section.title}, {row.key}",
                    index=index,
                    center=row.ratio,
                    low=row.ratio_low,
                    high=row.ratio_high,
                    doubtful=not row.is_verdict_valid,
                )
            )
    return bars


def sentences(builds: Sequence[ReportedBuild], sections: Sequence[ModelSection]) -> list[str]:
    """The whole report in a few plain sentences."""
    statuses = Counter(build.status for build in builds)
    said = [f"{count(len(builds), 'model')}: {', '.join(f'{n:,} {status}' for status, n in statuses.most_common())}."]
    rates = pass_rates(builds)
    if is_any_short(rates):
        incomplete = [f"{tool} {passed} of {of}" for tool, passed, of in rates if passed < of]
        said.append(f"Not everything passed: {', '.join(incomplete)}.")
    elif rates:
        said.append(f"Everything passed: {', '.join(tool for tool, _, _ in rates)}.")
    rows = [row for section in sections for row in section.candidates]
    if not rows:
        return [*said, "Nothing was measured."]
    invalid = sum(not row.is_valid for row in rows)
    of_them = f"the figures of {count(invalid, 'candidate')} are INVALID and should not be quoted"
    doubt = f"; {of_them}" if invalid else ", all figures are valid"
    said.append(f"{count(len(rows), 'candidate')} measured{doubt}.")
    chosen = [row for section in sections if (row := section.chosen) is not None]
    if chosen:
        runtimes = Counter(row.runtime for row in chosen).most_common()
        listed = ", ".join(f"{runtime} for {count(n, 'model')}" for runtime, n in runtimes)
        said.append(f"Recommended: {listed}.")
    proven = [row for row in chosen if row.verdict.startswith("FASTER") and row.is_verdict_valid and row.ratio]
    if proven:
        lows = sorted(row.ratio_low or 1.0 for row in proven)  # a ratio may be far from what is proven
        span = f"{number(lows[0])}×" if len(lows) == 1 else f"{number(lows[0])}× to {number(lows[-1])}×"
        doubted = sum(not row.is_valid for row in proven)
        values = f" ({doubted:,} with value INVALID)" if doubted else ""
        said.append(
            f"Faster than its reference by a verdict that is not INVALID: {len(proven):,} of {len(chosen):,}, "
            f"by at least {span}{values}."
        )
    return said
