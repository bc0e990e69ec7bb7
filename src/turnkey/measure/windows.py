"""The Navigator's windows as predicates over samples that exist anyway. Pure.

A variant's timed calls in time order are one sequence; windows cut it by count or by time; stability compares the
means of the last windows. Nothing here computes a statistic of window statistics for users.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turnkey.measure.plan import Windows
from turnkey.measure.slices import Slice
from turnkey.measure.statistics import Floats

_NS_PER_MS = 1e6


@dataclass(frozen=True, slots=True, kw_only=True)
class Stability:
    """What the rule says of one sequence.

    Attributes:
        stable: some trial was stable.
        stable_at: the first such trial, from 1; None if there is none.
        trials: complete windows looked at, at most ``max_trials``.
        means_ms: their means, milliseconds.
        ends: index after the last call of each of them.
        window_count: k, over how many last windows stability is tested.
    """

    stable: bool
    stable_at: int | None
    trials: int
    means_ms: tuple[float, ...]
    ends: tuple[int, ...]
    window_count: int

    @property
    def last_means_ms(self) -> tuple[float, ...]:
        """Means of the k windows that decided, or of the last k."""
        end = self.stable_at or self.trials
        return self.means_ms[max(0, end - self.window_count) : end]


def stability(times_ns: Sequence[float] | Floats, rule: Windows) -> Stability:
    """Evaluate the rule on timed calls in time order, nanoseconds."""
    times = np.asarray(times_ns, dtype=np.float64)
    ends = window_ends(times, rule)[: rule.max_trials]
    starts = (0, *ends[:-1]) if ends else ()
    means = tuple(float(times[a:b].mean()) / _NS_PER_MS for a, b in zip(starts, ends, strict=True))
    count = min(rule.stabilization_windows or 3, rule.max_trials)
    first = max(count, rule.min_trials or 0)
    stable_at = next((i for i in range(first, len(means) + 1) if _agree(means[i - count : i], rule)), None)
    return Stability(
        stable=stable_at is not None,
        stable_at=stable_at,
        trials=len(means),
        means_ms=means,
        ends=tuple(ends),
        window_count=count,
    )


def of_rounds(rounds: Mapping[int, Sequence[Slice]], rule: Windows) -> Stability:
    """Evaluate the rule on the timed slices of one variant: all its calls in time order are one sequence."""
    return stability(timed_calls(rounds), rule)


def timed_calls(rounds: Mapping[int, Sequence[Slice]]) -> Floats:
    """The timed calls of one variant in time order, nanoseconds: what `Stability.ends` counts."""
    items = sorted((item for slices in rounds.values() for item in slices), key=lambda item: item.t0)
    return np.asarray([time / item.inner for item in items for time in item.ns for _ in range(item.inner)])


def window_ends(times: Floats, rule: Windows) -> list[int]:
    """Index after the last call of every complete window.

    COUNT: every ``measurement_request_count`` calls. TIME: the call with which the window's summed durations reach
    ``measurement_interval`` closes it; at least one call.
    """
    if rule.mode == "COUNT_WINDOWS":
        size = rule.measurement_request_count
        return list(range(size, len(times) + 1, size))
    interval = rule.measurement_interval * _NS_PER_MS
    ends: list[int] = []
    spent = 0.0
    for index, time in enumerate(times.tolist(), 1):
        spent += time
        if spent >= interval:
            ends.append(index)
            spent = 0.0
    return ends


def is_exhausted(found: Stability, rule: Windows) -> bool:
    """Whether measuring more is pointless: stable, or all trials used."""
    return found.stable or found.trials >= rule.max_trials


def _agree(means: Sequence[float], rule: Windows) -> bool:
    average = sum(means) / len(means)
    return all(abs(mean - average) / average * 100 < rule.stability_percentage for mean in means)
