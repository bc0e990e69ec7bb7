"""Static memory planning: buffers with lifetimes get offsets in one workspace. Pure functions of their arguments.

A buffer lives from the step that writes it to the last step that reads it, both included; two buffers whose lives meet
must not overlap in address. The least possible workspace is at least the largest sum of live bytes over the steps:
the lower bound. A plan that reaches it is optimal; one that does not says how far it is off.

Source: best fit by decreasing size into gaps, over several orders of the buffers; then, if the bound is not reached,
a depth-limited branch and bound (`search`), which proves optimality when it exhausts its tree within its budget of
nodes. A budget of nodes instead of seconds keeps plans the same on every host.
"""

from __future__ import annotations

import bisect
import itertools
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from turnkey.mlf.failures import failure

SEARCH_BUDGET = 200_000
"""Placements that the exact search tries at most, unless told otherwise."""
PLACEMENTS_PER_SECOND = 20_000
"""What one second of search means. A count, so that the same model gets the same plan on every host."""


class Buffer(NamedTuple):
    """One tensor's storage or one kernel's scratch: life in steps, both ends included; size in bytes."""

    name: str
    bytes: int
    first: int
    last: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Offsets of all buffers.

    Attributes:
        workspace: bytes that hold them all, rounded to the alignment.
        lower_bound: largest sum of live (rounded) bytes over the steps.
        peak_step: the first step at which that sum is reached; -1 without buffers.
        proven: the workspace cannot be smaller: it is the bound, or the exact search went through.
        algorithm: who found it: ``best-fit``, ``exact``.
    """

    buffers: tuple[Buffer, ...]
    offsets: Mapping[str, int] = field(default_factory=dict)
    align: int
    workspace: int
    lower_bound: int
    peak_step: int
    proven: bool
    algorithm: str

    @property
    def gap(self) -> float:
        """Share by which the workspace exceeds the bound; 0 is optimal."""
        return self.workspace / self.lower_bound - 1 if self.lower_bound else 0.0


def rounded(size: int, align: int) -> int:
    """The size in whole units of the alignment."""
    return -(-size // align) * align


def live_bytes(buffers: Sequence[Buffer], *, align: int) -> list[int]:
    """Sum of live rounded bytes per step, index 0 being the first step of any buffer's life or step 0."""
    if not buffers:
        return []
    change = [0] * (max(buffer.last for buffer in buffers) + 2)
    for buffer in buffers:
        change[buffer.first] += rounded(buffer.bytes, align)
        change[buffer.last + 1] -= rounded(buffer.bytes, align)
    totals, level = [], 0
    for step in change[:-1]:
        level += step
        totals.append(level)
    return totals


def plan(
    buffers: Sequence[Buffer | tuple[str, int, int, int]],
    *,
    align: int = 16,
    algorithm: str = "auto",
    budget: int = SEARCH_BUDGET,
) -> Plan:
    """Give every buffer an offset.

    Args:
        buffers: or tuples of name, bytes, first and last step.
        align: of every offset and of the workspace, a power of two.
        algorithm: ``best-fit``, ``exact``, or ``auto`` (exact only where best fit stays above the bound).
        budget: of the exact search, in placements tried.

    Raises:
        MlfUsageError: names twice, a negative size or life, or an alignment that is no power of two.
    """
    rows = [Buffer(*each) for each in buffers]
    _check_arguments(rows, align)
    totals = live_bytes(rows, align=align)
    bound = max(totals, default=0)
    peak = totals.index(bound) if totals else -1
    best = _best_of_orders(rows, align=align, bound=bound)
    found_by, proven = "best-fit", _size(rows, best, align) == bound
    if not proven and algorithm in ("auto", "exact"):
        improved, complete = search(rows, best, align=align, bound=bound, budget=budget)
        if _size(rows, improved, align) < _size(rows, best, align):
            best, found_by = improved, "exact"
        proven = complete or _size(rows, best, align) == bound
        found_by = "exact" if complete else found_by
    return Plan(
        buffers=tuple(rows),
        offsets={buffer.name: best[buffer.name] for buffer in rows},
        align=align,
        workspace=_size(rows, best, align),
        lower_bound=bound,
        peak_step=peak,
        proven=proven,
        algorithm=found_by,
    )


def without_reuse(buffers: Sequence[Buffer], *, align: int = 16) -> int:
    """Bytes if every buffer had its own: what a generator without a planner needs."""
    return sum(rounded(buffer.bytes, align) for buffer in buffers)


def greedy_by_step(buffers: Sequence[Buffer], *, align: int = 16) -> int:
    """Bytes of the usual greedy planner: buffers in the order of their first step, each at the first gap that fits."""
    offsets = _place(sorted(buffers, key=lambda buffer: buffer.first), align=align, choose=_first_gap)
    return _size(buffers, offsets, align)


def check(made: Plan) -> None:
    """Verify a plan without trusting its planner.

    Raises:
        AssertionError: two buffers share an address while both live, one is misaligned, outside, or missing.
    """
    # A sweep over steps: within each step the live buffers, sorted by address, must not touch.
    if set(made.offsets) != {buffer.name for buffer in made.buffers}:
        raise AssertionError("a buffer has no offset")
    for buffer in made.buffers:
        start = made.offsets[buffer.name]
        if start < 0 or start % made.align or start + buffer.bytes > made.workspace:
            raise AssertionError(f"{buffer.name} at {start} is misaligned or outside of {made.workspace} bytes")
    for step in sorted({buffer.first for buffer in made.buffers}):
        live = sorted(
            (made.offsets[buffer.name], buffer.bytes, buffer.name)
            for buffer in made.buffers
            if buffer.first <= step <= buffer.last and buffer.bytes
        )
        for (start, size, name), (following, _, other) in itertools.pairwise(live):
            if start + size > following:
                raise AssertionError(f"{name} and {other} overlap at step {step}")


_Offsets = dict[str, int]
_Gaps = Sequence[tuple[int, int]]
"""(start, size) of free places, ascending; the last one is endless (size -1)."""


def _first_gap(gaps: _Gaps, size: int) -> int:
    return next(start for start, room in gaps if room < 0 or room >= size)


def _best_gap(gaps: _Gaps, size: int) -> int:
    fitting = [(room, start) for start, room in gaps if room >= size]
    return min(fitting)[1] if fitting else gaps[-1][0]


def _orders(buffers: Sequence[Buffer]) -> Iterator[list[Buffer]]:
    """Orders worth trying: by size first, which reaches the bound on nearly every network, then nine more."""

    def size(buffer: Buffer) -> int:
        return buffer.bytes

    def life(buffer: Buffer) -> int:
        return buffer.last - buffer.first + 1

    keys: list[Callable[[Buffer], tuple[float, ...]]] = [
        lambda b: (-size(b), b.first),
        lambda b: (-size(b), -life(b)),
        lambda b: (-life(b), -size(b)),
        lambda b: (-size(b) * life(b), b.first),
        lambda b: (-size(b), -b.last),
        lambda b: (b.first, -size(b)),
        lambda b: (b.first, -life(b)),
        lambda b: (-b.last, -size(b)),
        lambda b: (-(size(b) ** 2) * life(b), b.first),
        lambda b: (-size(b) * life(b) ** 0.5, b.first),
    ]
    for key in keys:
        yield sorted(buffers, key=key)


def _best_of_orders(buffers: Sequence[Buffer], *, align: int, bound: int) -> _Offsets:
    best: _Offsets | None = None
    totals = live_bytes(buffers, align=align)
    peak = totals.index(bound) if totals else 0
    # Besides the ten orders: those alive at the peak first. They alone must fit without a gap.
    at_peak = sorted(buffers, key=lambda b: (not b.first <= peak <= b.last, -(b.last - b.first), -b.bytes))
    for order in (*_orders(buffers), at_peak):
        for choose in (_best_gap, _first_gap):
            offsets = _place(order, align=align, choose=choose)
            if best is None or _size(buffers, offsets, align) < _size(buffers, best, align):
                best = offsets
            if _size(buffers, best, align) == bound:
                return best
    return best or {}


def _place(order: Sequence[Buffer], *, align: int, choose: Callable[[_Gaps, int], int]) -> _Offsets:
    offsets: _Offsets = {}
    placed: list[tuple[int, int, int, int]] = []  # start, end, first, last; sorted by start
    for buffer in order:
        size = rounded(buffer.bytes, align)
        busy = [(a, b) for a, b, first, last in placed if first <= buffer.last and buffer.first <= last]
        start = choose(_gaps(busy), size) if size else 0
        offsets[buffer.name] = start
        if size:
            bisect.insort(placed, (start, start + size, buffer.first, buffer.last))
    return offsets


def _gaps(busy: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    gaps, end = [], 0
    for start, stop in busy:
        if start > end:
            gaps.append((end, start - end))
        end = max(end, stop)
    return [*gaps, (end, -1)]


def _size(buffers: Sequence[Buffer], offsets: Mapping[str, int], align: int) -> int:
    return max((offsets[buffer.name] + rounded(buffer.bytes, align) for buffer in buffers), default=0)


def search(
    buffers: Sequence[Buffer], start: _Offsets, *, align: int, bound: int, budget: int
) -> tuple[_Offsets, bool]:
    """Look for a smaller plan than ``start``; returns the best one and whether no smaller one can exist.

    Depth first over the placements "some buffer at the lowest address that its neighbours in time leave free":
    every plan can be pushed down to one of that kind, so that the tree holds an optimal one. A branch is cut when
    some step's remaining buffers can no longer fit below the best size. Branches try the buffers that reach that
    address first. Twice the same state (the skyline over the steps and the set left) is visited once.

    Source: skyline placement for two-dimensional packing with fixed horizontal positions (dynamic storage allocation).
    """
    from turnkey.mlf.skyline import Skyline

    return Skyline(buffers, align=align, bound=bound, budget=budget).improve(start)


def _check_arguments(buffers: Sequence[Buffer], align: int) -> None:
    problem = ""
    if align <= 0 or align & (align - 1):
        problem = f"align={align} is no power of two"
    elif twins := [name for name, count in Counter(buffer.name for buffer in buffers).items() if count > 1]:
        problem = f"two buffers are called {twins[0]!r}"
    else:
        for buffer in buffers:
            if buffer.bytes < 0 or buffer.first < 0 or buffer.last < buffer.first:
                problem = f"{buffer} has a negative size or life"
    if problem:
        raise failure("mlf-bad-option", "the buffers cannot be planned", evidence=problem)
