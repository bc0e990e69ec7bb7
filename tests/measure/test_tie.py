"""Who is taken of candidates that a measurement cannot tell apart."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from turnkey.measure.tie import Tied, winner


def tied(key: str, *, is_lossy: bool = False, memory: float = math.inf, size: int = 1) -> Tied:
    return Tied(key=key, is_lossy=is_lossy, memory_bytes=memory, size_bytes=size)


def test_a_loss_buys_nothing_then_memory_then_the_file_then_the_name_decides() -> None:
    assert winner([tied("a", is_lossy=True, memory=1), tied("b", memory=9)]) == "b"
    assert winner([tied("a"), tied("b", memory=9)]) == "b"
    assert winner([tied("a", memory=100, size=2), tied("b", memory=110, size=1)]) == "a"
    assert winner([tied("a", size=2), tied("b", size=1)]) == "b"
    assert winner([tied("b"), tied("a")]) == "a"


@given(st.floats(0.98, 1.02), st.permutations(["a", "b", "c"]))
def test_noise_of_the_peaks_and_the_order_of_the_candidates_decide_nothing(noise: float, order: list[str]) -> None:
    sizes = {"a": 3, "b": 1, "c": 2}
    found = [tied(key, memory=1e8 * (noise if key == "b" else 1), size=sizes[key]) for key in order]
    assert winner(found) == "b"
