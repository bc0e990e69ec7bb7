"""The one number of each (variant, round), so that differences of two are robust against bursts of the host.

1. ``x[v][p]`` is the log of the median call of variant v's slice in pass p.
2. The slices of one pass stand next to each other in time, so a burst that outlasts a pass meets all of them: the
   median over passes of ``x[v][p] − x[w][p]`` is free of it, and of the few passes that it entered or left.
3. Medians of differences do not add up (v−w and w−z need not give v−z). Averaging them over all partners gives one
   number per variant whose differences do: ``u[v] = mean over w of median over p of (x[v] − x[w])``, plus the mean of
   the medians of all as the common level. Swapping two variants mirrors their difference.

Trade-offs: where nothing disturbs, a median needs up to half as many passes again as a mean for the same precision;
there, what differs between processes is larger than either. On a shared host it halves the variance.
Scope: the objective ``median``; the others are statistics of the pooled calls of a round.

Source: Lehmann, "Robust estimation in analysis of variance" (Ann. Math. Statist. 34, 1963) for 3.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from turnkey.measure import statistics
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.statistics import Floats

Timed = Mapping[str, Mapping[int, Sequence[Slice]]]
"""Timed slices by name and round."""


def units_of(timed: Timed, *, objective: str = "median") -> dict[str, dict[int, float]]:
    """Log nanoseconds by name and round.

    Args:
        timed: slices of every name that stood in a round, twins too; a round is judged from all of them together.
        objective: ``median``, or ``mean``, ``p90``, ``p99`` of the pooled calls.
    """
    found: dict[str, dict[int, float]] = {name: {} for name in timed}
    for r in sorted({r for rounds in timed.values() for r in rounds}):
        present = {name: rounds[r] for name, rounds in timed.items() if rounds.get(r)}
        for name, value in round_units(present, objective=objective).items():
            found[name][r] = value
    return found


def mean_units(timed: Timed, *, objective: str = "median") -> dict[str, dict[int, float]]:
    """As `units_of` by the rule of records of schema 1: the mean over passes, each variant for itself."""

    def of_round(items: Sequence[Slice]) -> float:
        if objective != "median":
            return statistics.pooled_unit(items, objective=objective)
        return math.fsum(statistics.slice_log(item) for item in items) / len(items)

    return {name: {r: of_round(items) for r, items in rounds.items()} for name, rounds in timed.items()}


def round_units(present: Mapping[str, Sequence[Slice]], *, objective: str = "median") -> dict[str, float]:
    """The unit of each name in one round, log nanoseconds."""
    if objective != "median":
        return {name: statistics.pooled_unit(items, objective=objective) for name, items in present.items()}
    table = pass_table(present)
    levels = [_middle(row) for row in table]
    units = {}
    for i, name in enumerate(present):
        differences = map(_middle, table[i] - table)
        partners = [level + apart for level, apart in zip(levels, differences, strict=True) if not math.isnan(apart)]
        units[name] = math.fsum(partners) / len(partners)
    return units


def pass_table(present: Mapping[str, Sequence[Slice]]) -> Floats:
    """Log slice medians, shape (names, passes), log nanoseconds; NaN where a name has no slice in a pass."""
    passes = sorted({item.p for items in present.values() for item in items})
    column = {p: i for i, p in enumerate(passes)}
    table = np.full((len(present), len(passes)), np.nan)
    for row, items in zip(table, present.values(), strict=True):
        for item in items:
            row[column[item.p]] = statistics.slice_log(item)
    return table


def _middle(row: Floats) -> float:
    """Median of the passes that are known; NaN without any."""
    known: list[float] = row[np.isfinite(row)].tolist()
    return statistics.median(known) if known else math.nan


def twin_differences(units: Mapping[str, Mapping[int, float]]) -> dict[int, float]:
    """Twin − original by round, whichever variant had the twin in it."""
    found: dict[int, float] = {}
    for name, rounds in units.items():
        if name.endswith(TWIN_SUFFIX):
            original = units.get(name.removesuffix(TWIN_SUFFIX), {})
            found.update({r: u - original[r] for r, u in rounds.items() if r in original})
    return found
