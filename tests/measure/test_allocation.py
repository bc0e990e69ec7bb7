"""Where the time of a round goes: more passes, or another start."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from turnkey.measure.allocation import best_passes, round_spread
from turnkey.measure.slices import Slice

CALL_NS = 20_000_000


def rounds(count: int, *, within: float, between: float, passes: int = 15) -> list[dict[str, list[Slice]]]:
    """Rounds of two variants whose differences vary by so much (log) from pass to pass and from round to round."""
    generator = np.random.Generator(np.random.PCG64(7))
    found = []
    for r in range(count):
        offset = generator.normal(0, between)
        noise = generator.normal(0, within, passes)
        times = {"a": [CALL_NS] * passes, "b": [round(CALL_NS * np.exp(offset + x)) for x in noise]}
        found.append(
            {
                name: [
                    Slice(v=name, r=r, p=p, pos=0, kind="timed", t0=0, settle=0, ns=[ns]) for p, ns in enumerate(row)
                ]
                for name, row in times.items()
            }
        )
    return found


def passes(seen: list[dict[str, list[Slice]]], *, start_s: float) -> int:
    return best_passes([round_spread(present) for present in seen], start_ns=start_s * 1e9, fewest=15, most=60)


def test_dear_starts_and_noisy_passes_make_rounds_longer() -> None:
    assert passes(rounds(6, within=0.1, between=0.01), start_s=10) == 60


def test_where_rounds_differ_more_than_passes_rounds_stay_short() -> None:
    assert passes(rounds(6, within=0.01, between=0.05), start_s=10) == 15


def test_a_round_never_more_than_doubles() -> None:
    assert passes(rounds(6, within=0.1, between=0.01), start_s=1) == pytest.approx(1 / (2 * CALL_NS / 1e9), abs=1)


def test_rounds_of_pairs_that_differ_much_say_no_more_than_rounds_of_one_pair() -> None:
    seen = rounds(6, within=0.02, between=0.01)
    mixed = [
        present
        if r % 2
        else {"a": present["a"], "slower": [replace(item, ns=[3 * item.ns[0]]) for item in present["b"]]}
        for r, present in enumerate(seen)
    ]
    assert passes(mixed, start_s=10) == pytest.approx(passes(seen, start_s=10), rel=0.3)
    assert passes(mixed, start_s=10) > 15


@pytest.mark.parametrize("seen", [[], [{"a": rounds(1, within=0.1, between=0.1)[0]["a"]}]])
def test_nothing_to_learn_from_changes_nothing(seen: list[dict[str, list[Slice]]]) -> None:
    assert passes(seen, start_s=100) == 15
