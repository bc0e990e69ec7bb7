"""Which candidates nothing beats: no other is at least as good in every cost and better in one. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Costs = Sequence[float | None]
"""Smaller is better; None is not known and neither beats nor is beaten."""


def unbeaten(costs: Mapping[str, Costs]) -> frozenset[str]:
    """Keys of the Pareto front.

    A cost that is unknown for either of two candidates says nothing about that pair; with nothing known in common
    neither beats the other.
    """
    return frozenset(key for key, own in costs.items() if not any(_beats(other, own) for other in costs.values()))


def _beats(first: Costs, second: Costs) -> bool:
    known = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    return bool(known) and all(a <= b for a, b in known) and any(a < b for a, b in known)
