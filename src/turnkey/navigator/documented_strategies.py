"""The five strategies of the original: latency, throughput, both, throughput within a budget, one by name."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from turnkey.measure.tie import DEFAULT_ORDER, order_of
from turnkey.navigator.candidate import Candidate
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.selection import RuntimeResult, RuntimeSearchStrategy, result_of, tied
from turnkey.navigator.status import Rung


class _Settling(RuntimeSearchStrategy):
    """A goal at which candidates may tie.

    Args:
        tie_order: of memory, size, error and load: what settles ties, one after another, after a loss of precision.
    """

    def __init__(self, *, tie_order: Sequence[str] = DEFAULT_ORDER) -> None:
        try:
            self.tie_order = order_of(tie_order)
        except ValueError as error:
            raise ConfigurationError("ties cannot be settled so", evidence=str(error)) from error

    def __str__(self) -> str:
        return self._with_order()

    def _with_order(self, *arguments: str) -> str:
        """Its name with these arguments, and with the order of ties where it is not the default."""
        given = () if self.tie_order == DEFAULT_ORDER else (f"tie_order={', '.join(self.tie_order)}",)
        said = ", ".join([*arguments, *given])
        return f"{type(self).__name__}({said})" if said else type(self).__name__


class MinLatencyStrategy(_Settling):
    """The smallest p50 latency over all batch sizes of all candidates."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return result_of(self, tied(candidates, lambda rung: rung.p50_latency))


class MaxThroughputStrategy(_Settling):
    """The largest throughput over all batch sizes of all candidates."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return result_of(self, tied(candidates, lambda rung: -rung.throughput))


class MaxThroughputAndMinLatencyStrategy(_Settling):
    """The candidate that has both the largest throughput and the smallest latency; there may be none.

    Tied with it is who cannot be told from it in one of the two.
    """

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        fast = [candidate.key for candidate, _ in tied(candidates, lambda rung: rung.p50_latency)]
        strong = tied(candidates, lambda rung: -rung.throughput)
        found = result_of(self, [pair for pair in strong if pair[0].key in fast])
        if found is None:
            return None
        in_one = dict.fromkeys([*fast, *(candidate.key for candidate, _ in strong)])
        in_one.pop(f"{found.model_key} @ {found.runner_name}")
        return replace(found, ties=tuple(in_one))


class MaxThroughputWithLatencyBudgetStrategy(_Settling):
    """The largest throughput among batch sizes with a p50 latency within a budget.

    Args:
        latency_budget: milliseconds.
    """

    def __init__(self, latency_budget: float, *, tie_order: Sequence[str] = DEFAULT_ORDER) -> None:
        super().__init__(tie_order=tie_order)
        self.latency_budget = positive("latency_budget", latency_budget)

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        def cost(rung: Rung) -> float:
            return -rung.throughput if rung.p50_latency <= self.latency_budget else math.inf

        return result_of(self, tied(candidates, cost))

    def __str__(self) -> str:
        return self._with_order(f"{self.latency_budget}[ms]")


class SelectedRuntimeStrategy(RuntimeSearchStrategy):
    """One runtime by name, with the numbers of its last batch size."""

    def __init__(self, model_key: str, runner_name: str) -> None:
        self.model_key = model_key
        self.runner_name = runner_name

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        mine = [each for each in candidates if each.key == f"{self.model_key} @ {self.runner_name}"]
        return result_of(self, [(each, each.rungs[-1]) for each in mine])

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.model_key}:{self.runner_name})"


def positive(name: str, value: Any, *, or_zero: bool = False) -> float:
    """A bound as a number. Raises ConfigurationError for what is not finite and above 0."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not (0 < value < math.inf or (or_zero and value == 0)):
        raise ConfigurationError(
            f"{name} must be finite and {'not negative' if or_zero else 'positive'}", evidence=f"{name}={value!r}"
        )
    return float(value)
