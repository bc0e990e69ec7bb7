"""The one implementation of every statistic. Pure functions of their arguments; logs are natural.

Sources: Kalibera & Jones 2013 (the round is the sample), Hyndman & Fan 1996 (quantiles), Student's t, binomial order
statistics.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from turnkey.errors import MeasurementInvalid
from turnkey.measure.slices import Slice

Floats = npt.NDArray[np.float64]
RESAMPLES = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Interval:
    """An estimate with its bounds; ``n`` is what it rests on (rounds, passes or calls)."""

    mean: float
    low: float
    high: float
    n: int

    def exp(self) -> Interval:
        """Bounds of exp() of the quantity: a ratio from a difference of logs."""
        return Interval(mean=math.exp(self.mean), low=math.exp(self.low), high=math.exp(self.high), n=self.n)

    @property
    def half_width(self) -> float:
        return (self.high - self.low) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Outliers:
    """Tukey's fences: counted and shown, never dropped."""

    mild: int
    severe: int


def call_times(slices: Iterable[Slice]) -> Floats:
    """Pooled timed calls in time order, nanoseconds per call, shape (timings,); entries of inner loops are means."""
    parts = [np.asarray(item.ns, dtype=np.float64) / item.inner for item in slices]
    return np.concatenate(parts) if parts else np.empty(0)


def pooled_unit(slices: Sequence[Slice], *, objective: str) -> float:
    """Log of a statistic (``mean``, ``p90``, ``p99``) of the pooled calls of a round, log nanoseconds."""
    pooled = call_times(slices)
    if objective == "mean":
        return math.log(float(pooled.mean()))
    return math.log(quantile(pooled, float(objective.removeprefix("p")) / 100))


def median(values: Iterable[float]) -> float:
    """The middle one of at least one value, of an even number the mean of the two in the middle.

    Of a few values, which it mostly gets, it is many times quicker than numpy's.
    """
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def slice_log(item: Slice) -> float:
    """Log of a slice's median call, log nanoseconds."""
    return math.log(median(item.ns) / item.inner)


def t_interval(values: Sequence[float], *, level: float) -> Interval:
    """Mean ± t(n−1, level)·s/√n.

    Args:
        values: one number per round.
        level: two-sided error, in (0, 1).

    Raises:
        MeasurementInvalid: fewer than two values, or one that is not finite.
    """
    array = np.asarray(values, dtype=np.float64)
    if len(array) < 2 or not np.isfinite(array).all():
        raise MeasurementInvalid("an interval needs two finite units or more", evidence=f"units: {list(values)}")
    mean = float(array.mean())
    half = t_quantile(len(array) - 1, level) * float(array.std(ddof=1)) / math.sqrt(len(array))
    return Interval(mean=mean, low=mean - half, high=mean + half, n=len(array))


def paired_interval(a: Mapping[int, float], b: Mapping[int, float], *, level: float) -> Interval:
    """Interval of the mean difference a − b over the rounds that both have; exp() bounds time(a) / time(b).

    Raises:
        MeasurementInvalid: fewer than two common rounds.
    """
    rounds = sorted(a.keys() & b.keys())
    return t_interval([a[r] - b[r] for r in rounds], level=level)


def welch_interval(a: Sequence[float], b: Sequence[float], *, level: float) -> Interval:
    """Difference of two independent means by Welch's t: for variants that never stood in one round."""
    first, second = t_interval(a, level=level), t_interval(b, level=level)
    va, vb = (float(np.var(x, ddof=1)) / len(x) for x in (a, b))
    mean = first.mean - second.mean
    if va + vb == 0:
        return Interval(mean=mean, low=mean, high=mean, n=min(len(a), len(b)))
    freedom = (va + vb) ** 2 / (va**2 / (len(a) - 1) + vb**2 / (len(b) - 1))
    half = t_quantile(freedom, level) * math.sqrt(va + vb)
    return Interval(mean=mean, low=mean - half, high=mean + half, n=min(len(a), len(b)))


@lru_cache(maxsize=4096)
def t_quantile(freedom: float, level: float) -> float:
    """Student's t for a two-sided error of ``level``."""
    from scipy import special  # half a second to import: a worker never needs it

    return float(special.stdtrit(freedom, 1 - level / 2))


def bootstrap_interval(values: Sequence[float], *, level: float, seed: int) -> Interval:
    """Percentile bootstrap of the median over blocks (one value per pass), 10,000 resamples.

    It does not contain the run-to-run variation: for one process only, and labelled so.
    """
    array = np.asarray(values, dtype=np.float64)
    middle = float(np.median(array))
    if len(array) < 2:
        return Interval(mean=middle, low=-math.inf, high=math.inf, n=len(array))
    generator = np.random.Generator(np.random.PCG64(seed))
    picks = generator.integers(0, len(array), size=(RESAMPLES, len(array)))
    medians = np.sort(np.median(array[picks], axis=1))
    low, high = (quantile(medians, q) for q in (level / 2, 1 - level / 2))
    return Interval(mean=middle, low=min(low, middle), high=max(high, middle), n=len(array))


def quantile(values: Floats, q: float) -> float:
    """Quantile by Hyndman & Fan's definition 8: approximately median-unbiased whatever the distribution."""
    return float(np.quantile(values, q, method="median_unbiased"))


def linear_quantile(values: Sequence[float] | Floats, q: float) -> float:
    """Quantile by linear interpolation between order statistics, definition 7: what Lexer's results are defined by.

    10, 20, 30, 40 have p90 37 and p99 39.7.
    """
    return float(np.quantile(np.asarray(values, dtype=np.float64), q, method="linear"))


def population_variance(values: Sequence[float] | Floats) -> float:
    """Mean squared deviation (ddof 0), in the square of the unit of the values."""
    return float(np.var(np.asarray(values, dtype=np.float64)))


def order_interval(values: Floats, q: float, *, level: float = 0.05) -> Interval | None:
    """Two-sided order-statistic interval of a quantile, or None where no such interval exists with this n.

    The bounds are the i-th and j-th smallest with P(fewer than i below) and P(j or more below) at most level/2.
    """
    n = len(values)
    if n < fewest_for_quantile(q, level=level):
        return None
    from scipy import special

    # bdtr(k, n, q) = P(at most k of n values lie below the quantile)
    ranks = np.arange(n + 1)
    below = special.bdtr(ranks, n, q)
    low = int(np.searchsorted(below, level / 2, side="right"))
    high = int(np.searchsorted(below, 1 - level / 2, side="left")) + 1
    ordered = np.sort(values)
    return Interval(
        mean=quantile(values, q), low=float(ordered[max(low - 1, 0)]), high=float(ordered[min(high, n) - 1]), n=n
    )


@lru_cache(maxsize=64)
def fewest_for_quantile(q: float, *, level: float = 0.05) -> int:
    """Smallest n with a two-sided order-statistic interval: the extremes must enclose the quantile.

    p50 6, p90 36, p95 72, p99 368, p99.9 3,688.
    """
    tail = max(q, 1 - q)
    return math.ceil(round(math.log(level / 2) / math.log(tail), 9))


def percentile(rounds: Sequence[Floats], q: float, *, level: float = 0.05) -> Interval | None:
    """A percentile with its interval from the calls of each round, nanoseconds; None with too few calls.

    Where five rounds or more would each suffice, the interval is t over rounds (of logs, as for the latency), since
    calls in one burst are not independent; the estimate stays that of the pooled calls.
    """
    fewest = fewest_for_quantile(q, level=level)
    pooled = np.concatenate(rounds) if rounds else np.empty(0)
    if len(pooled) < fewest:
        return None
    if len(rounds) >= 5 and all(len(part) >= fewest for part in rounds):
        over = t_interval([math.log(quantile(part, q)) for part in rounds], level=level).exp()
        estimate = quantile(pooled, q)
        return Interval(mean=estimate, low=min(over.low, estimate), high=max(over.high, estimate), n=len(pooled))
    return order_interval(pooled, q, level=level)


def outliers(values: Floats) -> Outliers:
    """Calls outside the fences of 1.5 (mild) and 3 (severe) interquartile ranges."""
    if len(values) < 4:
        return Outliers(mild=0, severe=0)
    low, high = quantile(values, 0.25), quantile(values, 0.75)
    distance = np.maximum(low - values, values - high)
    severe = int((distance > 3 * (high - low)).sum())
    return Outliers(mild=int((distance > 1.5 * (high - low)).sum()) - severe, severe=severe)


def spending(k: int, alpha: float, pairs: int) -> float:
    """Error of look ``k`` (from 1) for each of ``pairs``: over all looks and pairs the sum is at most alpha."""
    return alpha * 6 / (math.pi**2 * k**2) / max(1, pairs)


def binomial_interval(hits: int, n: int, *, level: float = 0.05) -> tuple[float, float]:
    """Clopper–Pearson bounds of a proportion."""
    from scipy import special

    low = 0.0 if hits == 0 else float(special.betaincinv(hits, n - hits + 1, level / 2))
    high = 1.0 if hits == n else float(special.betaincinv(hits + 1, n - hits, 1 - level / 2))
    return low, high
