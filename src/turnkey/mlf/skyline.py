"""The exact part of memory planning: depth-first search over skylines, bounded by a count of nodes.

State: for every step the address up to which memory is taken (the skyline), and the set of buffers not yet placed. A
move takes the lowest valley of the skyline (a maximal run of steps at one height) and either puts a buffer there whose
life lies within the valley and reaches no higher neighbour, or lifts the valley to its lower neighbour (wasting
that room). Every left- and down-justified plan is reached this way.

Source: skyline branch and bound for strip packing with fixed x positions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from turnkey.mlf.memory_plan import Buffer


class Skyline:
    """One search. Heights are in units of the alignment; steps are compressed to those at which something begins."""

    def __init__(self, buffers: Sequence[Buffer], *, align: int, bound: int, budget: int) -> None:
        self._align = align
        self._bound = bound // align
        self._budget = budget
        self._names = [buffer.name for buffer in buffers if buffer.bytes]
        self._empty = {buffer.name: 0 for buffer in buffers if not buffer.bytes}
        real = [buffer for buffer in buffers if buffer.bytes]
        self._sizes = [-(-buffer.bytes // align) for buffer in real]
        columns = sorted({buffer.first for buffer in real})
        index = {step: column for column, step in enumerate(columns)}
        self._first = [index[buffer.first] for buffer in real]
        self._last = [max(c for c, step in enumerate(columns) if step <= buffer.last) for buffer in real]
        self._width = len(columns)
        self._best = 0
        self._found: dict[str, int] | None = None
        self._seen: set[tuple[tuple[int, ...], frozenset[int]]] = set()

    def improve(self, start: Mapping[str, int]) -> tuple[dict[str, int], bool]:
        """The best plan found (offsets in bytes) and whether the search was complete."""
        if not self._names:
            return dict(start), True
        self._best = max(
            start[name] // self._align + size for name, size in zip(self._names, self._sizes, strict=True)
        )
        remaining = [0] * self._width
        for item, size in enumerate(self._sizes):
            for column in range(self._first[item], self._last[item] + 1):
                remaining[column] += size
        complete = self._run(remaining)
        if self._found is None:
            return dict(start), complete
        return {**{name: unit * self._align for name, unit in self._found.items()}, **self._empty}, complete

    def _run(self, remaining: list[int]) -> bool:
        """Explicit stack: thousands of buffers would exceed Python's recursion limit."""
        heights = [0] * self._width
        placed: dict[int, int] = {}
        stack = [self._moves(heights, remaining, placed)]
        undo: list[tuple[int, int, int, list[int]]] = []
        while stack:
            if not stack[-1]:
                stack.pop()
                if undo:
                    self._take_back(undo.pop(), heights, remaining, placed)
                continue
            if self._budget <= 0:
                return False
            self._budget -= 1
            item, first, last, height = stack[-1].pop()
            undo.append(self._make(item, first, last, height, heights, remaining, placed))
            if len(placed) == len(self._sizes):
                total = max(placed[i] + self._sizes[i] for i in placed)
                if total < self._best:
                    self._best = total
                    self._found = {self._names[i]: unit for i, unit in placed.items()}
                    if self._best <= self._bound:
                        return True
                stack.append([])
                continue
            fits = all(heights[c] + remaining[c] < self._best for c in range(first, last + 1))
            key = (tuple(heights), frozenset(placed))
            if not fits or key in self._seen:
                stack.append([])
                continue
            if len(self._seen) < 2_000_000:
                self._seen.add(key)
            stack.append(self._moves(heights, remaining, placed))
        return True

    def _moves(self, heights: list[int], remaining: list[int], placed: Mapping[int, int]) -> list[tuple[int, ...]]:
        """Moves at the lowest valley that still has something to hold, best last: (item or -1, columns, height)."""
        active = [c for c in range(self._width) if remaining[c]]
        low = min(heights[c] for c in active)
        left = next(c for c in active if heights[c] == low)
        first = left
        while first > 0 and heights[first - 1] <= low:
            first -= 1
        last = left
        while last + 1 < self._width and heights[last + 1] <= low:
            last += 1
        fitting = [
            item
            for item in range(len(self._sizes))
            if item not in placed and first <= self._first[item] and self._last[item] <= last
        ]
        moves: list[tuple[int, ...]] = []
        walls = [heights[c] for c in (first - 1, last + 1) if 0 <= c < self._width]
        if walls:
            moves.append((-1, first, last, min(walls)))
        # Tried first (popped last): the longest lives, then the largest; they are the hardest to place later.
        fitting.sort(key=lambda item: (self._last[item] - self._first[item], self._sizes[item], -self._first[item]))
        moves += [(item, self._first[item], self._last[item], low) for item in fitting]
        return moves

    def _make(
        self,
        item: int,
        first: int,
        last: int,
        height: int,
        heights: list[int],
        remaining: list[int],
        placed: dict[int, int],
    ) -> tuple[int, int, int, list[int]]:
        before = heights[first : last + 1]
        if item < 0:
            for column in range(first, last + 1):
                heights[column] = height
        else:
            placed[item] = height
            for column in range(first, last + 1):
                heights[column] = height + self._sizes[item]
                remaining[column] -= self._sizes[item]
        return item, first, last, before

    def _take_back(
        self,
        move: tuple[int, int, int, list[int]],
        heights: list[int],
        remaining: list[int],
        placed: dict[int, int],
    ) -> None:
        item, first, last, before = move
        heights[first : last + 1] = before
        if item >= 0:
            del placed[item]
            for column in range(first, last + 1):
                remaining[column] += self._sizes[item]
