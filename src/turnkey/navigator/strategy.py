"""Which runtime is best, by a stated goal. Pure: candidates in, a result out.

Candidates are runners whose outputs are right, that were profiled, and that no verify function refused. Those that the
measurement does not prove to be slower than the best one are tied with it; a tie is decided as everywhere
(`turnkey.measure.tie`).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from turnkey.measure.tie import Tied, winner
from turnkey.navigator.exceptions import ConfigurationError, RuntimeAnalyzerError
from turnkey.navigator.status import (
    CORRECTNESS,
    PERFORMANCE,
    VERIFY,
    CommandStatus,
    ModelStatus,
    Rung,
    RunnerStatus,
    Status,
)
from turnkey.verify import precision_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One runner of one model that may be chosen; at least one rung."""

    model: ModelStatus
    runner: RunnerStatus

    @property
    def key(self) -> str:
        """``onnx @ OnnxCPU``."""
        return f"{self.model.model_config.key} @ {self.runner.runner_name}"

    @property
    def rungs(self) -> tuple[Rung, ...]:
        return self.runner.rungs

    @property
    def memory_bytes(self) -> float:
        """Largest peak of its process; infinite where it is not known."""
        return max((rung.peak_memory_bytes or math.inf for rung in self.rungs), default=math.inf)

    @property
    def is_lossy(self) -> bool:
        """Whether it computes in a lower precision than the source, as its key says: ``trt-fp16``."""
        return precision_of(self.model.model_config.key) is not None

    @property
    def size_bytes(self) -> int:
        """Of its file; 0 for a source in memory."""
        return self.model.size_bytes

    @property
    def max_atol(self) -> float:
        """Largest absolute difference of any output."""
        return max((each.atol or 0.0 for each in self.runner.tolerances), default=0.0)

    @property
    def max_rtol(self) -> float:
        """Largest relative difference of any output."""
        return max((each.rtol or 0.0 for each in self.runner.tolerances), default=0.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RuntimeResult:
    """The choice of a strategy.

    Attributes:
        latency: p50, ms.
        throughput: inferences per second.
        batch_size: of the rung that decided; None without a batch axis.
        ties: candidates that the measurement cannot tell from this one.
        strategy: who chose, as text.
    """

    latency: float
    throughput: float
    batch_size: int | None
    model_status: ModelStatus
    runner_status: RunnerStatus
    ties: tuple[str, ...] = ()
    strategy: str = ""

    @property
    def model_key(self) -> str:
        return self.model_status.model_config.key

    @property
    def runner_name(self) -> str:
        return self.runner_status.runner_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidates:
    """Those that may be chosen, and why the others may not, by key."""

    entries: tuple[Candidate, ...]
    excluded: dict[str, str] = field(default_factory=dict)


def candidates_of(status: Status, *, include_source: bool = True) -> Candidates:
    """The candidates of a package."""
    entries: list[Candidate] = []
    excluded: dict[str, str] = {}
    for key, model in status.models.items():
        for run in model.commands.values():
            if run.status not in (CommandStatus.OK, CommandStatus.NOOP):
                excluded[key] = f"{run.status.value}: {run.reason}" if run.reason else run.status.value
        for name, runner in model.runners_status.items():
            reason = _exclusion(runner)
            if not reason and model.model_config.format.is_source and not include_source:
                reason = "it is the source model, which is left out"
            if reason:
                excluded[f"{key} @ {name}"] = reason
            else:
                entries.append(Candidate(model=model, runner=runner))
    return Candidates(entries=tuple(entries), excluded=excluded)


class RuntimeSearchStrategy(abc.ABC):
    """A goal. ``str()`` says it as packages and logs show it."""

    @abc.abstractmethod
    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        """The best of them; None if none fits the goal."""

    def __str__(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        return str(self)

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __hash__(self) -> int:
        return hash(str(self))


class MinLatencyStrategy(RuntimeSearchStrategy):
    """The smallest p50 latency over all batch sizes of all candidates."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return _result(self, _tied(candidates, lambda rung: rung.p50_latency))


class MaxThroughputStrategy(RuntimeSearchStrategy):
    """The largest throughput over all batch sizes of all candidates."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return _result(self, _tied(candidates, lambda rung: -rung.throughput))


class MaxThroughputAndMinLatencyStrategy(RuntimeSearchStrategy):
    """The candidate that has both the largest throughput and the smallest latency; there may be none.

    Tied with it is who cannot be told from it in one of the two.
    """

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        fast = [candidate.key for candidate, _ in _tied(candidates, lambda rung: rung.p50_latency)]
        strong = _tied(candidates, lambda rung: -rung.throughput)
        found = _result(self, [pair for pair in strong if pair[0].key in fast])
        if found is None:
            return None
        in_one = dict.fromkeys([*fast, *(candidate.key for candidate, _ in strong)])
        in_one.pop(f"{found.model_key} @ {found.runner_name}")
        return replace(found, ties=tuple(in_one))


class MaxThroughputWithLatencyBudgetStrategy(RuntimeSearchStrategy):
    """The largest throughput among batch sizes with a p50 latency within a budget.

    Args:
        latency_budget: milliseconds.
    """

    def __init__(self, latency_budget: float) -> None:
        self.latency_budget = _positive("latency_budget", latency_budget)

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        def cost(rung: Rung) -> float:
            return -rung.throughput if rung.p50_latency <= self.latency_budget else math.inf

        return _result(self, _tied(candidates, cost))

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.latency_budget}[ms])"


class SelectedRuntimeStrategy(RuntimeSearchStrategy):
    """One runtime by name, with the numbers of its last batch size."""

    def __init__(self, model_key: str, runner_name: str) -> None:
        self.model_key = model_key
        self.runner_name = runner_name

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        mine = [each for each in candidates if each.key == f"{self.model_key} @ {self.runner_name}"]
        return _result(self, [(each, each.rungs[-1]) for each in mine])

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.model_key}:{self.runner_name})"


class _Bounded(RuntimeSearchStrategy):
    """Another strategy among the candidates within a bound."""

    def __init__(self, then: RuntimeSearchStrategy | None) -> None:
        self.then = then or MinLatencyStrategy()

    @abc.abstractmethod
    def allows(self, candidate: Candidate) -> bool:
        """Whether a candidate is within the bound."""

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return self.then.choose([each for each in candidates if self.allows(each)])


class WithinAccuracyStrategy(_Bounded):
    """Another strategy among candidates whose outputs differ by no more than a bound from the source's.

    Args:
        atol, rtol: largest absolute and relative difference over all samples; None does not bound.
        then: decides among those; by default the smallest latency.
    """

    def __init__(
        self, *, atol: float | None = None, rtol: float | None = None, then: RuntimeSearchStrategy | None = None
    ) -> None:
        super().__init__(then)
        self.atol, self.rtol = atol, rtol

    def allows(self, candidate: Candidate) -> bool:
        return (self.atol is None or candidate.max_atol <= self.atol) and (
            self.rtol is None or candidate.max_rtol <= self.rtol
        )

    def __str__(self) -> str:
        return f"{type(self).__name__}(atol={self.atol}, rtol={self.rtol}, then={self.then})"


class WithinMemoryStrategy(_Bounded):
    """Another strategy among candidates whose process never needed more than so many bytes."""

    def __init__(self, peak_memory_bytes: float, *, then: RuntimeSearchStrategy | None = None) -> None:
        super().__init__(then)
        self.peak_memory_bytes = _positive("peak_memory_bytes", peak_memory_bytes)

    def allows(self, candidate: Candidate) -> bool:
        return candidate.memory_bytes <= self.peak_memory_bytes

    def __str__(self) -> str:
        return f"{type(self).__name__}({self.peak_memory_bytes:g}[bytes], then={self.then})"


class WithinSizeStrategy(_Bounded):
    """Another strategy among candidates whose files have no more than so many bytes; sources in memory have none."""

    def __init__(self, size_bytes: float, *, then: RuntimeSearchStrategy | None = None) -> None:
        super().__init__(then)
        self.size_bytes = _positive("size_bytes", size_bytes)

    def allows(self, candidate: Candidate) -> bool:
        return 0 < candidate.size_bytes <= self.size_bytes

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


class ParetoStrategy(RuntimeSearchStrategy):
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
        unknown = [name for name in objectives if name not in OBJECTIVES]
        if unknown or not objectives:
            raise ConfigurationError(
                f"there is no objective {', '.join(unknown) or '(none given)'}", evidence=", ".join(OBJECTIVES)
            )
        self.objectives = tuple(objectives)
        self.then = then or MinLatencyStrategy()

    def front(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Those that no other is at least as good as in every objective and better in one."""
        scores = {each.key: tuple(OBJECTIVES[name](each) for name in self.objectives) for each in candidates}

        def beats(mine: tuple[float, ...], other: tuple[float, ...]) -> bool:
            pairs = list(zip(mine, other, strict=True))
            return all(a <= b for a, b in pairs) and any(a < b for a, b in pairs)

        return [each for each in candidates if not any(beats(score, scores[each.key]) for score in scores.values())]

    def choose(self, candidates: Sequence[Candidate]) -> RuntimeResult | None:
        return self.then.choose(self.front(candidates))

    def __str__(self) -> str:
        return f"{type(self).__name__}({', '.join(self.objectives)}, then={self.then})"


Strategy = RuntimeSearchStrategy | Callable[[Sequence[Candidate]], Candidate | None]
"""A goal, or any function of the candidates that returns the one it wants (or None)."""

DEFAULT_STRATEGIES: tuple[Strategy, ...] = (MaxThroughputAndMinLatencyStrategy(), MinLatencyStrategy())


def strategies_of(strategy: Strategy | None, strategies: Iterable[Strategy] | None) -> list[Strategy]:
    """The strategies of a call, to be tried in order. Raises ConfigurationError if both are given."""
    if strategy is not None and strategies is not None:
        raise ConfigurationError("strategy and strategies say the same thing; give one of them")
    if strategy is not None:
        return [strategy]
    given = list(DEFAULT_STRATEGIES if strategies is None else strategies)
    if not given:
        raise ConfigurationError("strategies is empty")
    return given


def best_runtime(candidates: Candidates, strategies: Sequence[Strategy]) -> RuntimeResult:
    """The choice of the first strategy that makes one.

    Raises:
        RuntimeAnalyzerError: none does; the evidence names every candidate with the reason against it.
    """
    for strategy in strategies:
        if isinstance(strategy, RuntimeSearchStrategy):
            found = strategy.choose(candidates.entries) if candidates.entries else None
        else:
            found = _chosen_by(strategy, candidates.entries)
        if found is not None:
            return found
    tried = ", ".join(str(each) if isinstance(each, RuntimeSearchStrategy) else repr(each) for each in strategies)
    lines = [f"{key}: {reason}" for key, reason in candidates.excluded.items()]
    lines += [f"{each.key}: does not match {tried}" for each in candidates.entries]
    raise RuntimeAnalyzerError(
        f"no runtime matches {tried}",
        evidence="\n".join(lines) or "the package has no runner",
        remedy="another strategy: strategies=[…, nav.MinLatencyStrategy()]",
    )


def _chosen_by(
    function: Callable[[Sequence[Candidate]], Candidate | None], entries: Sequence[Candidate]
) -> RuntimeResult | None:
    candidate = function(entries)
    if candidate is None:
        return None
    rung = min(candidate.rungs, key=lambda each: each.p50_latency)
    name = getattr(function, "__name__", type(function).__name__)
    return _of(candidate, rung, ties=(), strategy=name)


def _exclusion(runner: RunnerStatus) -> str:
    """Why a runner is no candidate; empty if it is one."""
    for command in (CORRECTNESS, PERFORMANCE):
        if runner.ended(command) is not CommandStatus.OK:
            run = runner.commands.get(command)
            reason = "" if run is None else run.reason
            return f"{command} {runner.ended(command).value}" + (f": {reason}" if reason else "")
    if runner.ended(VERIFY) is CommandStatus.FAIL:
        return f"{VERIFY} FAIL: {runner.commands[VERIFY].reason}"
    return "" if runner.rungs else "it was not profiled"


def _tied(candidates: Sequence[Candidate], cost: Callable[[Rung], float]) -> list[tuple[Candidate, Rung]]:
    """The best pair and those that its measurement does not prove to be slower, at the same batch size."""
    pairs = [(candidate, rung) for candidate in candidates for rung in candidate.rungs if math.isfinite(cost(rung))]
    if not pairs:
        return []
    _, decisive = min(pairs, key=lambda pair: (cost(pair[1]), pair[0].key))
    return [
        (candidate, rung)
        for candidate, rung in pairs
        if rung is decisive or (candidate.key in decisive.ties and rung.batch_size == decisive.batch_size)
    ]


def _result(strategy: RuntimeSearchStrategy, tied: Sequence[tuple[Candidate, Rung]]) -> RuntimeResult | None:
    if not tied:
        return None
    best = winner(
        [
            Tied(key=each.key, is_lossy=each.is_lossy, memory_bytes=each.memory_bytes, size_bytes=each.size_bytes)
            for each, _ in tied
        ]
    )
    candidate, rung = next(pair for pair in tied if pair[0].key == best)
    others = tuple(dict.fromkeys(other.key for other, _ in tied if other.key != candidate.key))
    return _of(candidate, rung, ties=others, strategy=str(strategy))


def _of(candidate: Candidate, rung: Rung, *, ties: tuple[str, ...], strategy: str) -> RuntimeResult:
    return RuntimeResult(
        latency=rung.p50_latency,
        throughput=rung.throughput,
        batch_size=rung.batch_size,
        model_status=candidate.model,
        runner_status=candidate.runner,
        ties=ties,
        strategy=strategy,
    )


def _positive(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} must be finite and positive", evidence=f"{name}={value!r}")
    return float(value)
