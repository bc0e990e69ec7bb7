"""Who runs beside whom: all together where they fit into memory, else in pairs, else one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from turnkey.measure.slices import TWIN_SUFFIX

MEMORY_SHARE = 0.8
"""Of the free memory, what candidates that are loaded together may take."""


def choose_layout(needs: Mapping[str, int], *, twin: str | None, room: float) -> str:
    """``interleaved``, ``pairs`` or ``contiguous`` for processes of these peak sizes (bytes) in this much memory."""
    if sum(needs.values()) + (needs.get(twin, 0) if twin else 0) <= room:
        return "interleaved"
    largest = sorted(needs.values())[-2:]
    return "pairs" if sum(largest) <= room else "contiguous"


def crews(layout: str, live: Sequence[str], *, yardstick: str | None, twin: str | None) -> list[list[str]]:
    """Names of the processes that stand in one round together, a crew for each round of a cycle.

    Args:
        yardstick: that stands beside each other one, for pairs.
        twin: whom the twin doubles, where all stand together; None for no twin.
    """
    if layout == "contiguous":
        return [[key] for key in live]
    if layout == "pairs" and yardstick is not None:
        return [[yardstick, key] for key in live if key != yardstick]
    return [[*live, *([] if twin is None else [twin + TWIN_SUFFIX])]]


def measured_in(cycle: int, rounds: Sequence[Mapping[str, Any]]) -> frozenset[str]:
    """Who stood in a round of this cycle, as ``run.json`` tells; a round without a pass did not fit into memory."""
    done = [entry for entry in rounds if entry["cycle"] == cycle and entry["passes"]]
    return frozenset(process["v"] for entry in done for process in entry["processes"])


def is_done(crew: Sequence[str], measured: frozenset[str]) -> bool:
    """Whether everybody of a crew was measured; the twin follows whoever leads, and does not count."""
    return {name for name in crew if not name.endswith(TWIN_SUFFIX)} <= measured
