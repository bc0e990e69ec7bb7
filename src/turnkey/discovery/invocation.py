"""What the observer knows of one model and of one (model, signature): counts, times, place and captured samples."""

from __future__ import annotations

import random
import weakref
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import exp, log
from typing import Any

from turnkey.model.call import CallStructure
from turnkey.model.samples import Sample


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a model was called first.

    Attributes:
        file, line: of the innermost frame of the user's code, else of the immediate caller.
        name: what the model is bound to there; empty if nothing was found.
    """

    file: str
    line: int
    name: str


@dataclass(slots=True, eq=False, kw_only=True)
class SeenModel:
    """One instance of a module that was called.

    Attributes:
        module: kept alive; None once it was let go for memory.
        reference: tells whether a later call is of the same instance.
        class_name, kept_bytes: taken after its first call, when lazy parameters have their shapes.
        by_key: the raw form of a call (and its parent) to the invocation.
        by_signature: the canonical form; several raw forms may share one (``net(x)``, ``net(x=x)``).
        inside: for what ``torch.compile(module)`` returns: the model inside, whose tables it shares.
        latest: key and invocation of the latest call; the next one mostly looks the same.
        surplus_calls: calls with signatures beyond the limit, counted and otherwise not kept.
    """

    module: Any
    reference: weakref.ref[Any]
    class_name: str = ""
    inside: SeenModel | None = None
    kept_bytes: int = 0
    by_key: dict[Any, Invocation] = field(default_factory=dict)
    by_signature: dict[Any, Invocation] = field(default_factory=dict)
    surplus_calls: int = 0
    latest: tuple[Any, Invocation | None] = (None, None)


@dataclass(slots=True, eq=False, kw_only=True)
class Invocation:
    """One (model, signature) under one parent.

    Attributes:
        order: position among all, by first call.
        depth: 0 for top-level calls, else the nesting among module calls.
        parent: the invocation inside which it was first called.
        structure: how a sample becomes the call; of the first call.
        shapes, dtypes: of the inputs by name, in the order of ``forward``'s parameters.
        calls, failed, nanoseconds: of finished calls, of calls that raised, and the time of the former.
        training_seen: any call found the module in training mode.
        opaque: names of the types of arguments that are kept by reference.
        reservoir: captured samples.
        next_capture: number of the call whose inputs are to be captured; -1 for none.
    """

    seen: SeenModel
    order: int
    depth: int
    parent: Invocation | None
    place: Place
    structure: CallStructure
    shapes: Mapping[str, tuple[int, ...]]
    dtypes: Mapping[str, str]
    reservoir: Reservoir
    opaque: tuple[str, ...] = ()
    calls: int = 0
    failed: int = 0
    nanoseconds: int = 0
    training_seen: bool = False
    next_capture: int = 0


class Budget:
    """Bytes that the samples of all invocations may take together."""

    def __init__(self, limit_bytes: int) -> None:
        self.left_bytes = limit_bytes

    def take(self, size_bytes: int) -> bool:
        """Whether that much was left; it is taken then."""
        if size_bytes > self.left_bytes:
            return False
        self.left_bytes -= size_bytes
        return True


class Reservoir:
    """The first sample and a uniform choice of the later ones, without knowing how many will come.

    Algorithm L (Li 1994) on the calls after the first: a few random numbers per replacement, none per call.

    Args:
        capacity: samples at most, at least 1.
        seed: of its own generator.
    """

    def __init__(self, capacity: int, budget: Budget, *, seed: int) -> None:
        self.samples: list[Sample] = []
        self.next_call = 0
        """Index of the next call that is to be captured; the observer compares it with its count."""
        self._capacity = capacity
        self._budget = budget
        self._random = random.Random(seed)
        self._weight = 1.0

    def offer(self, sample: Sample) -> None:
        """Give the sample of call `next_call`, once that call has succeeded."""
        size_bytes = sum(array.nbytes for array in sample.values())
        if not self.samples:
            self._budget.take(size_bytes)  # the first is kept whatever its size
            self.samples.append(sample)
        elif len(self.samples) < self._capacity:
            if self._budget.take(size_bytes):
                self.samples.append(sample)
            else:
                self._capacity = len(self.samples)
        else:
            self.samples[1 + self._random.randrange(self._capacity - 1)] = sample  # same signature, same size
        self._plan()

    def _plan(self) -> None:
        if len(self.samples) < self._capacity:
            self.next_call += 1
        elif self._capacity == 1:
            self.next_call = -1
        else:
            self.next_call += 1 + self._skip(self._capacity - 1)

    def _skip(self, slots: int) -> int:
        self._weight *= exp(log(1.0 - self._random.random()) / slots)
        if self._weight <= 0.0 or self._weight >= 1.0:
            return 0 if self._weight >= 1.0 else 1 << 62
        return int(log(1.0 - self._random.random()) / log(1.0 - self._weight))
