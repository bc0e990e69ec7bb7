"""Strategies that narrow the candidates by a second quantity, and let another strategy decide among the rest."""

from __future__ import annotations

import abc
from collections.abc import Callable, Sequence
from dataclasses import replace

from turnkey.navigator.candidate import Candidate
from turnkey.navigator.documented_strategies import MinLatencyStrategy, positive
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.selection import RuntimeResult, RuntimeSearchStrategy
from turnkey.report.pareto import unbeaten


class _Narrowed(RuntimeSearchStrategy):
    """Another strategy among those of the candidates that are kept; by default the smallest latency."""

    def __init__(self, then: RuntimeSearchStrategy | None) -> None:
        self.then = then or MinLatencyStrategy()

    @abc.abstractmethod
    def kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that the other strategy sees."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        found = self.then.choose(self.kept(candidates))
        return None if found is None else replace(found, strategy=str(self))


class WithinAccuracyStrategy(_Narrowed):
    """Another strategy among candidates whose outputs differ by no more than a bound from the source's.

    Args:
        atol, rtol: largest absolute and relative difference over all samples; None does not bound.
        then: decides among those; by default the smallest latency.
    """

    def __init__(
        self, *, atol: float | None = None, rtol: float | None = None, then: RuntimeSearchStrategy | None = None
    ) -> None:
        super().__init__(then)
        self.atol = None if atol is None else positive("atol", atol, or_zero=True)
        self.rtol = None if rtol is None else positive("rtol", rtol, or_zero=True)

    def kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [
            each
            for each in candidates
            if (self.atol is None or each.max_atol <= self.atol) and (self.rtol is None or each.max_rtol <= self.rtol)
        ]

    def __str__(self) -> str:
        return f"{type(self).__name__}(atol={self.atol}, rtol={self.rtol}, then={self.then})"


class WithinMemoryStrategy(_Narrowed):
    """Another strategy among candidates whose process never needed more than so many bytes."""

    def __init__(self, peak_memory_bytes: float, *, then: RuntimeSearchStrategy | None = None) -> None:
        super().__init__(then)
        self.peak_memory_bytes = positive("peak_memory_bytes", peak_memory_bytes)

    def kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [each for each in candidates if each.memory_bytes <= self.peak_memory_bytes]

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.peak_memory_bytes:g}[bytes], then={self.then})"


class WithinSizeStrategy(_Narrowed):
    """Another strategy among candidates whose files have no more than so many bytes; sources in memory have none."""

    def __init__(self, size_bytes: float, *, then: RuntimeSearchStrategy | None = None) -> None:
        super().__init__(then)
        self.size_bytes = positive("size_bytes", size_bytes)

    def kept(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        return [each for each in candidates if 0 < each.size_bytes <= self.size_bytes]

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.size_bytes:g}[bytes], then={self.then})"


OBJECTIVES: dict[str, Callable[[Candidate], float]] = {
    "latency": lambda each: min(rung.p50_latency for rung in each.rungs),
    "throughput": lambda each: -max(rung.throughput for rung in each.rungs),
    "memory": lambda each: each.memory_bytes,
    "size": lambda each: each.size_bytes,
    "accuracy": lambda each: each.max_atol,
}
"""What the Pareto front goes by; smaller is better."""


class ParetoStrategy(_Narrowed):
    """Another strategy among the candidates that none beats in every objective.

    Args:
        objectives: of `OBJECTIVES`.
        then: decides among the front; by default the smallest latency.
    """

    def __init__(
        self,
        objectives: Sequence[str] = ("latency", "memory", "size", "accuracy"),
        *,
        then: RuntimeSearchStrategy | None = None,
    ) -> None:
        super().__init__(then)
        unknown = [name for name in objectives if name not in OBJECTIVES]
        if unknown or not objectives:
            raise ConfigurationError(
                f"there is no objective {', '.join(unknown) or '(none given)'}", evidence=", ".join(OBJECTIVES)
            )
        self.objectives = tuple(objectives)

    def front(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that no other is at least as good as in every objective and better in one."""
        standing = unbeaten({each.key: [OBJECTIVES[name](each) for name in self.objectives] for each in candidates})
        return [each for each in candidates if each.key in standing]

    kept = front

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.objectives)}, then={self.then})"
