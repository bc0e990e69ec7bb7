"""``nav.strategy``: goals by which the best runtime is chosen, and which of them are tried where none is named."""

from __future__ import annotations

from collections.abc import Iterable

from turnkey.navigator.bounded_strategies import (
    OBJECTIVES,
    ParetoStrategy,
    WithinAccuracyStrategy,
    WithinMemoryStrategy,
    WithinSizeStrategy,
)
from turnkey.navigator.candidate import Candidate, Candidates, candidates_of
from turnkey.navigator.documented_strategies import (
    MaxThroughputAndMinLatencyStrategy,
    MaxThroughputStrategy,
    MaxThroughputWithLatencyBudgetStrategy,
    MinLatencyStrategy,
    SelectedRuntimeStrategy,
)
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.selection import RuntimeResult, RuntimeSearchStrategy, Strategy, best_runtime

__all__ = [
    "DEFAULT_STRATEGIES",
    "OBJECTIVES",
    "Candidate",
    "Candidates",
    "MaxThroughputAndMinLatencyStrategy",
    "MaxThroughputStrategy",
    "MaxThroughputWithLatencyBudgetStrategy",
    "MinLatencyStrategy",
    "ParetoStrategy",
    "RuntimeResult",
    "RuntimeSearchStrategy",
    "SelectedRuntimeStrategy",
    "Strategy",
    "WithinAccuracyStrategy",
    "WithinMemoryStrategy",
    "WithinSizeStrategy",
    "best_runtime",
    "candidates_of",
    "strategies_of",
]

DEFAULT_STRATEGIES: tuple[Strategy, ...] = (MaxThroughputAndMinLatencyStrategy(), MinLatencyStrategy())


def strategies_of(strategy: Strategy | None, strategies: Iterable[Strategy] | None) -> list[Strategy]:
    """The strategies of a call, to be tried in order. Raises ConfigurationError if both are given."""
    if strategy is not None and strategies is not None:
        raise ConfigurationError("strategy and strategies say the same thing; give one of them")
    given = [strategy] if strategy is not None else list(DEFAULT_STRATEGIES if strategies is None else strategies)
    if not given:
        raise ConfigurationError("strategies is empty")
    for each in given:
        if not isinstance(each, RuntimeSearchStrategy) and not callable(each):
            raise ConfigurationError("a strategy is a goal or a function of the candidates", evidence=repr(each))
    return given
