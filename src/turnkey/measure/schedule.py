"""When who is timed: size of slices, number of passes, and the order inside each pass.

Everything is a function of the seed and of an index, so that a resumed experiment continues the same schedule.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

SHORT_CALL_NS = 20_000
"""Calls below this are timed in inner loops: the clock's own cost and resolution would show."""
PASSES = 15
FEWEST_PASSES = 8
MOST_PASSES = 60
_SLICES_NS = 10e9
MAX_PAD = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceSize:
    """``entries`` timings of ``inner`` calls each, after one settling call."""

    entries: int
    inner: int = 1


def slice_size(call_ns: float) -> SliceSize:
    """Timed calls per slice for a call of ``call_ns``: 20 to 250 ms of them, or one call."""
    inner = math.ceil(SHORT_CALL_NS / call_ns) if call_ns < SHORT_CALL_NS else 1
    entry = call_ns * inner
    return SliceSize(entries=max(math.ceil(20e6 / entry), min(5, max(1, int(250e6 // entry)))), inner=inner)


def passes_per_round(call_ns: float) -> int:
    """15, for slow calls as few as 8, so that a variant's slices of one round take about 10 s."""
    size = slice_size(call_ns)
    slice_ns = call_ns * (1 + size.entries * size.inner)
    return max(FEWEST_PASSES, min(PASSES, math.ceil(_SLICES_NS / slice_ns)))


def most_passes(call_ns: float) -> int:
    """Passes beyond which no round is lengthened: 60, for slow calls what takes about 10 s of a variant's slices."""
    size = slice_size(call_ns)
    slice_ns = call_ns * (1 + size.entries * size.inner)
    return max(passes_per_round(call_ns), min(MOST_PASSES, int(_SLICES_NS // slice_ns)))


def order(names: Sequence[str], *, seed: int, index: int) -> tuple[str, ...]:
    """The order of pass ``index`` (counted through all rounds).

    Rows of random Latin squares one after another: in every ``len(names)`` passes each name stands in each
    position once.
    """
    count = len(names)
    square, row = divmod(index, count)
    return tuple(names[symbol] for symbol in _latin_square(seed, count, square)[row])


@lru_cache(maxsize=8)
def _latin_square(seed: int, count: int, number: int) -> tuple[tuple[int, ...], ...]:
    """The cyclic square with rows, columns and symbols shuffled."""
    generator = _generator(seed, "order", count, number)
    rows, columns, symbols = (generator.permutation(count).tolist() for _ in range(3))
    return tuple(tuple(symbols[(row + column) % count] for column in columns) for row in rows)


def load_order(names: Sequence[str], *, seed: int, round_: int) -> tuple[str, ...]:
    """The shuffled order in which the processes of a round are started."""
    return tuple(names[i] for i in _generator(seed, "load", round_).permutation(len(names)))


def pad(*, seed: int, round_: int, position: int) -> int:
    """Random bytes for a worker's environment: one address-space layout is one draw."""
    return int(_generator(seed, "pad", round_, position).integers(0, MAX_PAD, endpoint=True))


def fixed_slices(iterations: int, *, rounds: int, size: SliceSize) -> tuple[tuple[int, ...], ...]:
    """Slices of each round that sum to exactly ``iterations`` calls, as even as possible.

    Inner loops are not used here: exactly so many calls are timed one by one.
    """
    rounds = max(1, min(rounds, iterations))
    shares = [iterations // rounds + (1 if i < iterations % rounds else 0) for i in range(rounds)]
    plan = []
    for share in shares:
        # Few short calls would fit into one slice: then nothing is interleaved, and no interval can be had.
        slices = max(min(FEWEST_PASSES, share), min(PASSES, math.ceil(share / size.entries)))
        plan.append(tuple(share // slices + (1 if i < share % slices else 0) for i in range(slices)))
    return tuple(plan)


def _generator(seed: int, purpose: str, *indices: int) -> np.random.Generator:
    words = [seed, int.from_bytes(purpose.encode(), "little"), *indices]
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(words)))
