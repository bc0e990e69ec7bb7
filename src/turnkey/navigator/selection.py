"""The best runtime by stated goals, tried in order. Pure: candidates in, a result out.

Candidates that the measurement does not prove to be slower than the best one are tied with it; a tie is decided as
everywhere (`turnkey.measure.tie`).
"""

from __future__ import annotations

import abc
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from turnkey.measure.tie import DEFAULT_ORDER, Tied, settled
from turnkey.navigator.candidate import Candidate, Candidates
from turnkey.navigator.exceptions import RuntimeAnalyzerError
from turnkey.navigator.status import ModelStatus, Rung, RunnerStatus


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


class RuntimeSearchStrategy(abc.ABC):
    """A goal. ``str()`` says it as packages and logs show it.

    Attributes:
        tie_order: of `turnkey.measure.tie.MEASURES`: what settles ties, one after another.
    """

    tie_order: tuple[str, ...] = DEFAULT_ORDER

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


Strategy = RuntimeSearchStrategy | Callable[[Sequence[Candidate]], Candidate | None]
"""A goal, or any function of the candidates that returns the one it wants (or None)."""


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


def tied(candidates: Sequence[Candidate], cost: Callable[[Rung], float]) -> list[tuple[Candidate, Rung]]:
    """The best pair and those that its measurement does not prove to be slower, at the same batch size.

    Args:
        cost: of a rung; smaller is better, and what is not finite is left out.
    """
    pairs = [(candidate, rung) for candidate in candidates for rung in candidate.rungs if math.isfinite(cost(rung))]
    if not pairs:
        return []
    _, decisive = min(pairs, key=lambda pair: (cost(pair[1]), pair[0].key))
    return [
        (candidate, rung)
        for candidate, rung in pairs
        if rung is decisive or (candidate.key in decisive.ties and rung.batch_size == decisive.batch_size)
    ]


def result_of(strategy: RuntimeSearchStrategy, pairs: Sequence[tuple[Candidate, Rung]]) -> RuntimeResult | None:
    """The winner among pairs that tie, with the others; None without any."""
    if not pairs:
        return None
    best = settled(
        [
            Tied(
                key=each.key,
                is_lossy=each.is_lossy,
                memory_bytes=each.memory_bytes,
                size_bytes=each.size_bytes,
                error=each.max_atol,
                load_ms=each.load_ms,
            )
            for each, _ in pairs
        ],
        order=strategy.tie_order,
    ).key
    candidate, rung = next(pair for pair in pairs if pair[0].key == best)
    others = tuple(dict.fromkeys(other.key for other, _ in pairs if other.key != candidate.key))
    return _result(candidate, rung, ties=others, strategy=str(strategy))


def _chosen_by(
    function: Callable[[Sequence[Candidate]], Candidate | None], entries: Sequence[Candidate]
) -> RuntimeResult | None:
    candidate = function(entries)
    if candidate is None:
        return None
    rung = min(candidate.rungs, key=lambda each: each.p50_latency)
    name = getattr(function, "__name__", type(function).__name__)
    return _result(candidate, rung, ties=(), strategy=name)


def _result(candidate: Candidate, rung: Rung, *, ties: tuple[str, ...], strategy: str) -> RuntimeResult:
    return RuntimeResult(
        latency=rung.p50_latency,
        throughput=rung.throughput,
        batch_size=rung.batch_size,
        model_status=candidate.model,
        runner_status=candidate.runner,
        ties=ties,
        strategy=strategy,
    )
