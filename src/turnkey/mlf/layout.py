"""Where each tensor lies: which tensors share bytes, which steps then need no call, and the plan of the workspace.

Sharing: a view is its source; parts of a split lie in it; the parts of a concatenation lie in its result; an
element-wise result takes over a dying input. A graph output's bytes belong to the caller: what becomes an output as a
whole is written there at once. Decisions are taken in step order, each only if nothing alive would be overwritten.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from turnkey.mlf.earlier_plan import belongs_to_another, placed_as_before
from turnkey.mlf.memory_plan import SEARCH_BUDGET, Buffer, Plan, check, plan, rounded
from turnkey.mlf.program import Program, Step
from turnkey.mlf.tensor import Tensor


@dataclass(frozen=True, slots=True)
class Place:
    """A tensor's bytes: a root tensor (input, output, constant or buffer of the workspace) and an offset in it."""

    root: str
    offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """The plan of a program's memory.

    Attributes:
        places: of every tensor.
        called: indices of the steps that remain to be called, in order; lives in the plan count these.
        plan: of the workspace.
        io_in_pool: inputs and outputs are buffers of the workspace too.
    """

    places: Mapping[str, Place]
    called: tuple[int, ...]
    plan: Plan
    io_in_pool: bool


def lay_out(
    program: Program,
    *,
    align: int = 16,
    algorithm: str = "auto",
    budget: int = SEARCH_BUDGET,
    earlier: Plan | None = None,
    io_in_pool: bool = False,
    share: bool = True,
) -> Layout:
    """Share what can be shared, then plan. Concatenation in place is taken only where it does not raise the need.

    Args:
        budget: of the exact search, in placements.
        earlier: a plan to be used again.
        share: False keeps every tensor apart and calls every step.

    Raises:
        MlfUsageError: the earlier plan is that of other buffers.
    """
    ways = (True, False) if share else (False,)
    sharings = [_Sharing(program, concat_in_place=concat, io_in_pool=io_in_pool, decide=share) for concat in ways]
    if earlier is None:
        candidates = [sharing.layout(align=align, algorithm=algorithm, budget=budget) for sharing in sharings]
    else:
        kept = [sharing.layout_as_before(earlier, align=align) for sharing in sharings]
        candidates = [layout for layout in kept if layout is not None]
        if not candidates:
            raise belongs_to_another(earlier, [sharing.buffers() for sharing in sharings])
    best = min(candidates, key=lambda layout: layout.plan.workspace)
    check(best.plan)
    return best


class _Sharing:
    """The decisions for one program."""

    def __init__(self, program: Program, *, concat_in_place: bool, io_in_pool: bool, decide: bool = True) -> None:
        self._program = program
        self._io_in_pool = io_in_pool
        self._constants = {*program.constants, *program.packed}
        self._fixed = {*program.inputs, *self._constants}
        self._outputs = set(program.outputs)
        self._places = {name: Place(name, 0) for name in program.tensors}
        self._members: dict[str, list[str]] = {name: [name] for name in program.tensors}
        self._last = _last_uses(program)
        self._elided: set[int] = set()
        for index, step in enumerate(program.steps if decide else ()):
            if step.view:
                shared = self._share_view(step)
            elif step.parts:
                shared = self._share_parts(step)
            elif step.places:
                shared = concat_in_place and self._share_places(step)
            else:
                shared = False
                self._overwrite(index, step)
            if shared:
                self._elided.add(index)

    def layout(self, *, align: int, algorithm: str, budget: int) -> Layout:
        return self._with(plan(self.buffers(), align=align, algorithm=algorithm, budget=budget))

    def layout_as_before(self, earlier: Plan, *, align: int) -> Layout | None:
        made = placed_as_before(earlier, self.buffers(), align=align)
        return None if made is None else self._with(made)

    def _with(self, made: Plan) -> Layout:
        return Layout(places=dict(self._places), called=self._called(), plan=made, io_in_pool=self._io_in_pool)

    def _called(self) -> tuple[int, ...]:
        return tuple(index for index in range(len(self._program.steps)) if index not in self._elided)

    def _tensor(self, name: str) -> Tensor:
        return self._program.tensors[name]

    def _is_whole_temporary(self, name: str) -> bool:
        """Whether a tensor is all of its root, and the root is ours to place."""
        place = self._places[name]
        return (
            place.offset == 0
            and place.root not in self._fixed
            and place.root not in self._outputs
            and self._tensor(name).bytes == self._tensor(place.root).bytes
        )

    def _move(self, root: str, target: str, offset: int) -> None:
        """Put all tensors of one root into another root."""
        for name in self._members.pop(root):
            self._places[name] = Place(target, self._places[name].offset + offset)
            self._members[target].append(name)

    def _share_view(self, step: Step) -> bool:
        source, target = step.inputs[0], step.outputs[0]
        if target not in self._outputs:
            place = self._places[source]
            self._move(target, place.root, place.offset)
            return True
        if self._is_whole_temporary(source):
            self._move(self._places[source].root, target, 0)
            return True
        return False

    def _share_parts(self, step: Step) -> bool:
        if any(name in self._outputs for name in step.outputs):
            return False
        place = self._places[step.inputs[0]]
        for name, part in zip(step.outputs, step.parts, strict=True):
            self._move(name, place.root, place.offset + part)
        return True

    def _share_places(self, step: Step) -> bool:
        target = step.outputs[0]
        roots = [self._places[name].root for name in step.inputs]
        if len(set(roots)) != len(roots) or not all(self._is_whole_temporary(name) for name in step.inputs):
            return False
        for root, offset in zip(roots, step.places, strict=True):
            self._move(root, target, offset)
        return True

    def _overwrite(self, index: int, step: Step) -> None:
        """Let an element-wise result take over the bytes of an input that nothing reads afterwards."""
        if step.kernel.overwrites is None:
            return
        source, target = step.inputs[step.kernel.overwrites], step.outputs[0]
        place, size = self._places[source], self._tensor(source).bytes
        if place.root in self._fixed or place.root in self._outputs or size != self._tensor(target).bytes or not size:
            return
        for name in self._members[place.root]:
            other = self._places[name].offset
            apart = other + self._tensor(name).bytes <= place.offset or place.offset + size <= other
            if apart:
                continue
            if self._last[name] > index or (name in step.inputs and name != source):
                return
        if target not in self._outputs:
            self._move(target, place.root, place.offset)
        elif self._is_whole_temporary(source):
            self._move(place.root, target, 0)

    def buffers(self) -> list[Buffer]:
        """Lives of the roots that lie in the workspace, and kernels' scratch, over the called steps."""
        called = self._called()
        first: dict[str, int] = {}
        last: dict[str, int] = {}
        for position, index in enumerate(called):
            step = self._program.steps[index]
            for name in (*step.inputs, *step.outputs):
                root = self._places[name].root
                first.setdefault(root, position)
                last[root] = position
        end = max(0, len(called) - 1)
        buffers = []
        for root in self._members:
            if root in self._constants:
                continue
            size = self._tensor(root).bytes
            if root in self._outputs:
                if self._io_in_pool:
                    buffers.append(Buffer(root, size, first.get(root, 0), end))
            elif root in self._fixed:
                if self._io_in_pool:
                    buffers.append(Buffer(root, size, 0, last.get(root, 0)))
            elif root in first:
                buffers.append(Buffer(root, size, first[root], last[root]))
        for position, index in enumerate(called):
            scratch = self._program.steps[index].kernel.scratch_bytes
            if scratch:
                buffers.append(Buffer(f"scratch of step {position}", scratch, position, position))
        return buffers


def _last_uses(program: Program) -> dict[str, int]:
    """Index of the last step that reads a tensor; -1 if none does; outputs are read after the end."""
    last = dict.fromkeys(program.tensors, -1)
    for index, step in enumerate(program.steps):
        for name in step.inputs:
            last[name] = index
    for name in program.outputs:
        last[name] = len(program.steps)
    return last


def constant_offsets(program: Program, *, align: int = 64) -> tuple[dict[str, int], int, int]:
    """Where each constant lies in the pool, the pool's size, and how much of it is padding between tensors."""
    offsets: dict[str, int] = {}
    end = total = 0
    for name, array in program.pool.items():
        offsets[name] = rounded(end, align)
        end = offsets[name] + array.nbytes
        total += array.nbytes
    return offsets, end, end - total
