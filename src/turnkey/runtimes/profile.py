"""Where the time of one candidate's calls goes: per operator, with the module that it belongs to."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class OperatorTime:
    """One operator of the graph that was executed.

    Attributes:
        operator: ``MatMul``, ``Cast``; as the runtime calls it.
        node: its name there.
        layer: path of the module that it belongs to; empty where that is not known.
        provider: what executed it; empty where there is only one.
        microseconds: per call, on average.
    """

    operator: str
    node: str
    layer: str = ""
    provider: str = ""
    microseconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One candidate, looked at.

    Attributes:
        key: of the candidate.
        operators: what was executed; empty where the runtime does not tell.
        call_ms: median time of a call, without the profiler.
        cpu_ms: time of all processors per call.
        threads: that it was given.
        fallback: what executed it instead of what was asked for; None where nothing else did.
        placement: nodes by provider.
        notes: what a reader must know.
    """

    key: str
    operators: tuple[OperatorTime, ...] = ()
    call_ms: float
    cpu_ms: float
    threads: int
    fallback: str | None = None
    placement: Mapping[str, int] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def threads_used(self) -> float:
        """Processors that were busy on average during a call, with those that only waited in a busy loop."""
        return self.cpu_ms / self.call_ms if self.call_ms else 0.0

    def of_kinds(self, kinds: Collection[str]) -> tuple[OperatorTime, ...]:
        """The operators of some types, the longest first."""
        found = [each for each in self.operators if each.operator in kinds]
        return tuple(sorted(found, key=lambda each: -each.microseconds))

    def by_layer(self, *, without: Collection[str] = ()) -> dict[str, float]:
        """Microseconds per call by module path, without operators of some types and those of no known module."""
        times: dict[str, float] = {}
        for each in self.operators:
            if each.layer and each.operator not in without:
                times[each.layer] = times.get(each.layer, 0.0) + each.microseconds
        return times


LayerOf = Callable[[str], str]
"""From the name of a node or value to the path of its module; empty where it has none."""
