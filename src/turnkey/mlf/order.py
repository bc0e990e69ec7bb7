"""Orders of a program's steps: the one whose largest sum of live bytes is least.

What lives after some steps depends on which they were, not on their order, so that the search goes over sets of done
steps: a path through them whose worst step is least, by Dijkstra's algorithm with maxima in place of sums. Within its
budget of sets it is exact; beyond it the order stays as it was given.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from dataclasses import replace

from turnkey.mlf.program import Program

_BUDGET = 20_000
"""Sets of done steps that are looked at. A chain of n steps has n, one with branches the product of theirs."""


def least_peak_order(program: Program, *, budget: int = _BUDGET) -> Program:
    """The program with its steps in an order of least peak; the given order where that is as good or the search ends.

    Storage of views counts once; what a caller owns (inputs, outputs, constants) not at all.
    """
    lives = _Lives(program)
    order = lives.best(budget)
    given = list(range(len(program.steps)))
    if order is None or lives.peak(order) >= lives.peak(given):
        return program
    return replace(program, steps=tuple(program.steps[index] for index in order))


def peak_bytes(program: Program) -> int:
    """Largest sum of live bytes over the steps, in their order."""
    return _Lives(program).peak(list(range(len(program.steps))))


class _Lives:
    """Which storages a step needs and makes, as bit sets over storages and steps."""

    def __init__(self, program: Program) -> None:
        self._program = program
        root = _roots(program)
        owned = {*program.inputs, *program.constants, *program.packed, *program.outputs}
        kept = {root[name] for name in owned}
        self._sizes: dict[str, int] = {}
        for name, tensor in program.tensors.items():
            if root[name] not in kept:
                self._sizes[root[name]] = max(self._sizes.get(root[name], 0), tensor.bytes)
        self._users: dict[str, int] = {}
        maker: dict[str, int] = {}
        self._needs: list[int] = []
        self._touched: list[set[str]] = []
        for index, step in enumerate(program.steps):
            maker.update(dict.fromkeys(step.outputs, index))
            touched = {root[name] for name in (*step.inputs, *step.outputs)} & self._sizes.keys()
            for storage in touched:
                self._users[storage] = self._users.get(storage, 0) | 1 << index
            self._touched.append(touched)
            self._needs.append(sum(1 << producer for producer in {maker[n] for n in step.inputs if n in maker}))

    def at(self, done: int, step: int) -> int:
        """Live bytes while a step runs after the steps of a set."""
        live = {s for s, users in self._users.items() if users & done and users & ~done}
        scratch = self._program.steps[step].kernel.scratch_bytes
        return sum(self._sizes[storage] for storage in live | self._touched[step]) + scratch

    def peak(self, order: Sequence[int]) -> int:
        done = highest = 0
        for step in order:
            highest = max(highest, self.at(done, step))
            done |= 1 << step
        return highest

    def best(self, budget: int) -> list[int] | None:
        """An order of least peak; None if the budget ends first."""
        count = len(self._program.steps)
        everything = (1 << count) - 1
        before: dict[int, tuple[int, int]] = {}
        least = {0: 0}
        heap = [(0, 0, 0)]  # peak, minus the number of done steps: of equal peaks the furthest first, done steps
        while heap and budget > 0:
            peak, depth, done = heapq.heappop(heap)
            if done == everything:
                return _path(before, everything)
            if peak > least[done]:
                continue
            budget -= 1
            for step in range(count):
                if done >> step & 1 or self._needs[step] & ~done:
                    continue
                after, higher = done | 1 << step, max(peak, self.at(done, step))
                if higher < least.get(after, higher + 1):
                    least[after], before[after] = higher, (done, step)
                    heapq.heappush(heap, (higher, depth - 1, after))
        return None


def _roots(program: Program) -> Mapping[str, str]:
    """The storage of each tensor: a view's is that of its source."""
    root = {name: name for name in program.tensors}
    for step in program.steps:
        if step.view:
            root[step.outputs[0]] = root[step.inputs[0]]
    return root


def _path(before: Mapping[int, tuple[int, int]], end: int) -> list[int]:
    order = []
    while end:
        end, step = before[end]
        order.append(step)
    return order[::-1]
