"""What an experiment is going to cost before it runs: process starts and seconds. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from turnkey.measure import schedule, warmup
from turnkey.measure.plan import Settings

START_S = 1.5
"""Starting a process and loading a small model in it; torch.compile takes several times as long."""
_CHECKED_CALLS = 9
"""The first call, and one of each sample."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """At least and at most: the rule of the experiment ends it in between.

    Attributes:
        rounds, starts: counts.
        seconds: of wall time; at most: with every round after the first as long as passes that vary much make it
            (`turnkey.measure.allocation`).
    """

    rounds: tuple[int, int]
    starts: tuple[int, int]
    seconds: tuple[float, float]

    def __str__(self) -> str:
        return (
            f"{_range(self.rounds, 'round')}, {_range(self.starts, 'process start')}, about {_seconds(self.seconds)}"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "rounds": list(self.rounds),
            "starts": list(self.starts),
            "seconds": [round(value, 1) for value in self.seconds],
        }


def estimate(settings: Settings, calls_ns: Sequence[float], *, start_s: float = START_S) -> Cost:
    """Cost of comparing candidates whose calls take so long.

    Args:
        calls_ns: duration of a call of each candidate, nanoseconds.
        start_s: seconds to start a process and to load a candidate.
    """
    crew = [*calls_ns, *([calls_ns[0]] if settings.has_twin else [])]
    slowest = max(calls_ns)
    opening = sum(start_s + (_CHECKED_CALLS + _warm_calls(call)) * call / 1e9 for call in crew)
    passes = sum(_pass_calls(settings, call, slowest) * call / 1e9 for call in crew)
    longest = max(passes, _longest_passes(settings, crew, opening))
    calibrations = len(calls_ns) if settings.calibrates else 0
    before = sum(start_s + _calibration_calls(call) * call / 1e9 for call in calls_ns) if calibrations else 0.0
    last = settings.most_rounds if settings.iterations is None else settings.fewest_rounds
    rounds = (settings.fewest_rounds, last)
    starts = tuple(calibrations + count * len(crew) for count in rounds)
    low = before + rounds[0] * (opening + passes)
    high = before + opening + passes + (rounds[1] - 1) * (opening + longest)
    latest = settings.budget + opening + longest  # the budget ends the experiment after the round in work
    return Cost(rounds=rounds, starts=(starts[0], starts[1]), seconds=(min(low, latest), min(high, latest)))


def _longest_passes(settings: Settings, crew: Sequence[float], opening_s: float) -> float:
    """Seconds of the passes of a round that gets as many as `turnkey.measure.allocation` may give; 0 if none."""
    if settings.iterations is not None or settings.passes is not None or settings.objective in ("p90", "p99"):
        return 0.0
    one = sum(_slice_calls(call) * call / 1e9 for call in crew)
    return min(opening_s, schedule.most_passes(max(crew)) * one)


def _pass_calls(settings: Settings, call_ns: float, slowest_ns: float) -> int:
    """Timed and settling calls of one process in one round."""
    count = settings.calls_for(slowest_ns)
    if count is not None:
        return math.ceil(count / settings.fewest_rounds)
    return settings.passes_for(slowest_ns) * _slice_calls(call_ns)


def _slice_calls(call_ns: float) -> int:
    size = schedule.slice_size(call_ns)
    return 1 + size.entries * size.inner


def _warm_calls(call_ns: float) -> int:
    if call_ns > warmup.SLOW_CALL_NS:
        return 2
    return max(3 * warmup.block_calls(call_ns), math.ceil(warmup.LEAST_NS / call_ns))


def _calibration_calls(call_ns: float) -> int:
    if call_ns > warmup.SLOW_CALL_NS:
        return _CHECKED_CALLS + 2
    return _CHECKED_CALLS + math.ceil(warmup.GROWTH * warmup.first_calls(call_ns))


def _range(counts: tuple[int, int], noun: str) -> str:
    low, high = counts
    return f"{low} {noun}{'s' if low != 1 else ''}" if low == high else f"{low} to {high} {noun}s"


def _seconds(bounds: tuple[float, float]) -> str:
    low, high = bounds
    if high < 120:
        return f"{low:.0f} s" if round(low) == round(high) else f"{low:.0f} to {high:.0f} s"
    low, high = low / 60, high / 60
    return f"{low:.0f} min" if round(low) == round(high) else f"{max(low, 1):.0f} to {high:.0f} min"
