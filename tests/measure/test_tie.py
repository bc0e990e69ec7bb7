"""Who is taken of candidates that a measurement cannot tell apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from turnkey.measure.tie import DEFAULT_ORDER, MEASURES, Tied, order_of, settled


def tied(
    key: str,
    *,
    is_lossy: bool = False,
    memory: float = math.inf,
    size: int = 1,
    error: float = math.inf,
    load: float = math.inf,
) -> Tied:
    return Tied(key=key, is_lossy=is_lossy, memory_bytes=memory, size_bytes=size, error=error, load_ms=load)


def winner(found: list[Tied], order: Sequence[str] = DEFAULT_ORDER) -> str:
    return settled(found, order=order).key


def test_a_loss_buys_nothing_then_memory_then_the_file_then_the_name_decides() -> None:
    assert winner([tied("a", is_lossy=True, memory=1), tied("b", memory=9)]) == "b"
    assert winner([tied("a"), tied("b", memory=9)]) == "b"
    assert winner([tied("a", memory=100, size=2), tied("b", memory=110, size=1)]) == "a"
    assert winner([tied("a", size=2), tied("b", size=1)]) == "b"
    assert winner([tied("b"), tied("a")]) == "a"


def test_a_given_order_decides_after_the_loss_and_what_is_not_in_it_decides_nothing() -> None:
    small, light = tied("z", memory=100, size=1), tied("b", memory=10, size=9)
    assert (winner([small, light]), winner([small, light], ["size", "memory"])) == ("b", "z")
    assert winner([small, light], ["error"]) == "b"  # by name
    assert winner([tied("a", error=2e-6), tied("b", error=1e-6)], ["error", "load"]) == "b"
    assert winner([tied("a", load=10.0), tied("b", load=5.0)], ["load"]) == "b"
    assert winner([tied("a", is_lossy=True, load=1.0), tied("b", load=5.0)], ["load"]) == "b"


def test_what_settled_a_tie_is_told() -> None:
    one, two = tied("a", memory=100, size=2, load=100), tied("b", memory=101, size=1, load=110)
    assert settled([one, two]).by == "size"
    assert settled([one, two], order=["load", "memory"]).by == "name"
    assert settled([one, tied("c", is_lossy=True)]).by == "loss"
    # Of three, one goes for its loss; the peaks of the two that are left differ by noise alone.
    assert settled([one, two, tied("c", is_lossy=True, memory=1)]).by == "size"


@pytest.mark.parametrize("names", [[], ["speed"], ["size", "size"]])
def test_an_order_of_unknown_or_repeated_measures_is_refused(names: list[str]) -> None:
    assert order_of(MEASURES) == MEASURES
    with pytest.raises(ValueError, match="measure"):
        order_of(names)


@given(st.floats(0.98, 1.02), st.permutations(["a", "b", "c"]))
def test_noise_of_the_peaks_and_the_order_of_the_candidates_decide_nothing(noise: float, order: list[str]) -> None:
    sizes = {"a": 3, "b": 1, "c": 2}
    found = [tied(key, memory=1e8 * (noise if key == "b" else 1), size=sizes[key]) for key in order]
    assert winner(found) == "b"
