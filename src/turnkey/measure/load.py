"""Load shapes: their arithmetic. Pure.

Closed loops (``concurrency``) and open loops (``server``) answer different questions (Schroeder et al. 2006) and are
never compared. In an open loop latency counts from the scheduled arrival: a late generator cannot hide a queue.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from turnkey.errors import UsageError
from turnkey.measure import statistics
from turnkey.measure.statistics import Floats

CONFIDENCE = 0.99
LITTLE_LIMIT = 0.05
LATE_SEND_NS = 1_000_000
LATE_SENDS_LIMIT = 0.01
SERVER_SECONDS = 10.0
RATE_PRECISION = 1.03
_FEWEST_RATE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """What load to put on one loaded target.

    Attributes:
        kind: ``concurrency``, ``server`` or ``offline``.
        clients: closed-loop clients, one level after another.
        seconds: of every level or trial.
        bound_ms: latency that the given quantile of queries must keep (``server``).
        quantile: 0.99, 0.95 or 0.90.
        rounds: fresh processes that confirm (``server``) or repeat (``offline``).
        service_threads: calls that the server may have in flight at once.
    """

    kind: str
    clients: tuple[int, ...] = (1, 2, 4, 8)
    seconds: float = SERVER_SECONDS
    bound_ms: float | None = None
    quantile: float = 0.99
    rounds: int = 3
    service_threads: int = 1

    def __post_init__(self) -> None:
        if self.kind not in ("concurrency", "server", "offline"):
            raise UsageError(f"there is no load shape {self.kind!r}", remedy="concurrency, server or offline")
        if self.kind == "server" and self.bound_ms is None:
            raise UsageError("the server shape needs a latency bound", remedy="bound_ms=50")
        for name in ("seconds", "bound_ms", "quantile"):
            value = getattr(self, name)
            if value is not None and not 0 < value < math.inf:
                raise UsageError(f"{name} must be finite and positive", evidence=f"{name}={value!r}")
        counts = (*self.clients, self.rounds, self.service_threads)
        if not self.clients or min(counts) < 1 or self.quantile >= 1:
            raise UsageError("clients, rounds and threads start at 1, a quantile lies below 1", evidence=f"{self}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Flow:
    """A closed loop in its steady part: Little's law says that ``clients`` = throughput × residence.

    Attributes:
        throughput_per_s: completed calls per second, X.
        residence_s: mean time in the system, R.
        in_flight: X·R; what is missing to ``clients`` is time that the clients themselves lost.
    """

    throughput_per_s: float
    residence_s: float

    @property
    def in_flight(self) -> float:
        return self.throughput_per_s * self.residence_s


def is_lawful(clients: int, in_flight: float) -> bool:
    """Whether \\|c − X·R\\| ≤ 5 % of c; else the client is the bottleneck."""
    return abs(clients - in_flight) <= LITTLE_LIMIT * clients


def flow(starts: Sequence[Sequence[int]], durations: Sequence[Sequence[int]]) -> Flow:
    """Throughput and residence over the time in which all clients were at work.

    Args:
        starts, durations: of each client's calls, nanoseconds on one clock.
    """
    begin = max(client[0] for client in starts)
    end = min(at[-1] + took[-1] for at, took in zip(starts, durations, strict=True))
    inside = [
        duration
        for at, took in zip(starts, durations, strict=True)
        for start, duration in zip(at, took, strict=True)
        if begin <= start + duration <= end
    ]
    seconds = max(end - begin, 1) / 1e9
    residence = math.fsum(inside) / len(inside) / 1e9 if inside else 0.0
    return Flow(throughput_per_s=len(inside) / seconds, residence_s=residence)


def arrivals(rate_per_s: float, count: int, *, seed: int) -> tuple[int, ...]:
    """Scheduled arrivals of a Poisson process, nanoseconds from the start, drawn beforehand."""
    generator = np.random.Generator(np.random.PCG64(seed))
    gaps = generator.exponential(1e9 / rate_per_s, count)
    return tuple(int(value) for value in np.cumsum(gaps))


@lru_cache(maxsize=4096)
def queries_needed(late: int, quantile: float) -> int:
    """Fewest queries, ``late`` of them over the bound, that prove the quantile to lie within it.

    Source: early stopping of MLPerf LoadGen; binomial. p99: 459, 662, 838, 1,001 for 0 to 3 late ones.
    """
    from scipy import special

    low = high = late + 1
    while special.bdtr(late, high, 1 - quantile) > 1 - CONFIDENCE:
        high *= 2
    while low < high:
        middle = (low + high) // 2
        if special.bdtr(late, middle, 1 - quantile) <= 1 - CONFIDENCE:
            high = middle
        else:
            low = middle + 1
    return low


def keeps_bound(latencies_ns: Sequence[float] | Floats, *, bound_ms: float, quantile: float) -> bool:
    """Whether these queries prove that the quantile of latency lies within the bound."""
    late = int((np.asarray(latencies_ns, dtype=np.float64) > bound_ms * 1e6).sum())
    return len(latencies_ns) >= queries_needed(late, quantile)


def queries_for(rate_per_s: float, shape: Shape) -> int:
    """Queries of a trial: enough for its seconds, and so that a few late ones do not decide."""
    return max(math.ceil(rate_per_s * shape.seconds), queries_needed(3, shape.quantile))


def next_rate(tried: Sequence[tuple[float, bool]], *, first: float) -> float | None:
    """Rate to try next: double until the bound fails, then bisect to 3 %; None when done.

    Args:
        tried: rates and whether they kept the bound.
        first: where to start.
    """
    if not tried:
        return first
    kept = max((rate for rate, ok in tried if ok), default=None)
    failed = min((rate for rate, ok in tried if not ok and (kept is None or rate > kept)), default=None)
    if failed is None:
        return 2 * kept if kept is not None else None
    if kept is None:
        return failed / 2 if failed / 2 >= _FEWEST_RATE else None
    return None if failed / kept <= RATE_PRECISION else math.sqrt(failed * kept)


def sends_are_late(late_sends: int, count: int) -> bool:
    """More than 1 % of arrivals sent more than 1 ms after their time: the generator is the bottleneck."""
    return late_sends > LATE_SENDS_LIMIT * count


def break_even_calls(
    *, start_ms: float, call_ms: float, baseline_start_ms: float, baseline_call_ms: float
) -> float | None:
    """Calls after which a candidate's longer start (load, compile, first call) is paid back by faster calls.

    0 where it starts no later; None where it never pays: its calls are not faster.
    """
    later = start_ms - baseline_start_ms
    if call_ms >= baseline_call_ms:
        return None if later > 0 or call_ms > baseline_call_ms else 0.0
    return max(0.0, math.ceil(later / (baseline_call_ms - call_ms)))


def percentile_ms(latencies_ns: Sequence[int], quantile: float) -> float | None:
    """A percentile of the queries of one trial, milliseconds; None with too few of them."""
    found = statistics.percentile([np.asarray(latencies_ns, dtype=np.float64)], quantile)
    return None if found is None else found.mean / 1e6
