"""What is asked of an experiment: effort, limits, levels. Checked at the border; plain data afterwards."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from turnkey.errors import UsageError
from turnkey.measure import schedule

EFFORTS = ("quick", "standard", "rigorous")
OBJECTIVES = ("median", "mean", "p90", "p99")
QUICK_MARGIN = 0.10
"""`quick` claims a difference only where the whole interval lies beyond it."""
_WHOLE = {
    *("iterations", "threads", "min_rounds", "max_rounds", "look_every", "passes"),
    *("max_trials", "min_trials", "measurement_request_count", "stabilization_windows"),
}
_FEWEST_CALLS = 10
_OBJECTIVE_CALLS = {"p90": 36, "p99": 368}


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """The Navigator's window rule, with its documented names and defaults.

    ``stabilization_windows`` and ``min_trials`` are of its later generation; None is the earlier rule.
    """

    mode: str = "COUNT_WINDOWS"
    measurement_request_count: int = 50
    measurement_interval: float = 5000.0
    """Milliseconds."""
    stability_percentage: float = 10.0
    max_trials: int = 10
    stabilization_windows: int | None = None
    min_trials: int | None = None

    def __post_init__(self) -> None:
        if self.mode not in ("COUNT_WINDOWS", "TIME_WINDOWS"):
            raise UsageError(f"no window mode {self.mode!r}", remedy="COUNT_WINDOWS or TIME_WINDOWS")
        _check_positive(self, ("measurement_request_count", "measurement_interval", "max_trials"))
        _check_positive(self, ("stability_percentage", "stabilization_windows", "min_trials"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How to measure. None means: by effort.

    Attributes:
        effort: ``quick`` (one round, no interval over runs), ``standard`` or ``rigorous``.
        iterations: exactly so many timed calls of every candidate, in one fixed design without early stop.
        iteration_seconds: with ``iterations`` as an upper bound, only as many calls as the slowest candidate makes in
            this time, and at least 10.
        threads: count for every candidate; None is the fair count of this machine.
        seed: of order, pads, and resampling.
        alpha: error over all looks and pairs.
        delta: relative difference that does not matter.
        precision: half-width at which one candidate alone is done.
        budget_s: wall time after which no further round starts, and no further pass but each candidate's first; with
            ``iterations`` or an objective p90 or p99 the round in work is finished.
        objective: statistic of a round that is compared.
        inputs: ``rotate`` through all samples, or ``same``.
        min_rounds, max_rounds, look_every: when the decision is first tried, last tried, and how often between.
        passes: of every round; None fits them to the length of a call.
        windows: add passes until this rule calls every candidate stable or its trials are used up.
        step_timeout_s: how long one step may keep a worker awake.
        stop_peers: False where processes must not be stopped.
        compare_threads: thread counts may differ between candidates.
        cold_cache: overwrite the cache of an accelerator before each timed call, untimed.
        strict: an invalid result raises `MeasurementInvalid`.
        limit: relative slow-down that a gate allows: then looks decide only whether the others are slower than the
            reference by more or by less than it.
    """

    effort: str = "standard"
    iterations: int | None = None
    iteration_seconds: float | None = None
    threads: int | None = None
    seed: int = 0
    alpha: float = 0.05
    delta: float = 0.02
    precision: float = 0.02
    budget_s: float | None = None
    min_rounds: int | None = None
    max_rounds: int | None = None
    look_every: int = 3
    passes: int | None = None
    objective: str = "median"
    inputs: str = "rotate"
    windows: Windows | None = None
    step_timeout_s: float = 600.0
    stop_peers: bool = True
    compare_threads: bool = False
    cold_cache: bool = False
    strict: bool = False
    limit: float | None = None

    def __post_init__(self) -> None:
        for name, known in (("effort", EFFORTS), ("objective", OBJECTIVES), ("inputs", ("rotate", "same"))):
            value = getattr(self, name)
            if value not in known:
                raise UsageError(f"{name} {value!r} is unknown", remedy=f"one of: {', '.join(known)}")
        _check_positive(
            self, ("iterations", "threads", "budget_s", "min_rounds", "max_rounds", "passes", "look_every")
        )
        _check_positive(self, ("alpha", "delta", "precision", "step_timeout_s", "iteration_seconds"))
        if self.is_quick and self.objective != "median":
            raise UsageError(
                "effort quick compares medians",
                evidence=f"objective {self.objective}",
                remedy="effort standard or rigorous, or objective median",
            )
        self._check_iterations()
        if self.alpha >= 1:
            raise UsageError("alpha is a probability below 1", evidence=f"alpha={self.alpha}")
        if self.seed < 0 or type(self.seed) is not int:
            raise UsageError("the seed is a whole number from 0", evidence=f"seed={self.seed!r}")

    def _check_iterations(self) -> None:
        """Fewer calls in a round than a percentile needs would name the slowest of them after it."""
        if self.iterations is None or self.objective not in _OBJECTIVE_CALLS:
            return
        fewest = self.fewest_rounds * _OBJECTIVE_CALLS[self.objective]
        if self.iterations < fewest or self.iteration_seconds is not None:
            most = "" if self.iteration_seconds is None else f", or what {self.iteration_seconds:g} s allow"
            raise UsageError(
                f"so few calls have no {self.objective} in each of {self.fewest_rounds} rounds",
                evidence=f"{self.iterations} iterations{most}",
                remedy=f"at least {fewest} iterations, or leave their number to the effort",
            )

    @property
    def is_quick(self) -> bool:
        return self.effort == "quick"

    @property
    def has_twin(self) -> bool:
        return not self.is_quick

    @property
    def calibrates(self) -> bool:
        return not self.is_quick

    @property
    def fewest_rounds(self) -> int:
        return 1 if self.is_quick else min(self.min_rounds or 5, self.most_rounds)

    @property
    def most_rounds(self) -> int:
        if self.is_quick:
            return 1
        return self.max_rounds or {"standard": 11, "rigorous": 29}[self.effort]

    @property
    def budget(self) -> float:
        """Seconds of wall time."""
        return self.budget_s or {"quick": 600.0, "standard": 600.0, "rigorous": 1800.0}[self.effort]

    def is_look(self, rounds: int) -> bool:
        """Whether the decision is tried after so many rounds; the last is always a look."""
        first = self.fewest_rounds
        return rounds == self.most_rounds or (rounds >= first and (rounds - first) % self.look_every == 0)

    def calls_for(self, call_ns: float) -> int | None:
        """How many calls of this length are timed where their number is fixed; None where it is not."""
        if self.iterations is None or self.iteration_seconds is None:
            return self.iterations
        fitting = max(_FEWEST_CALLS, int(self.iteration_seconds * 1e9 / call_ns))
        return min(self.iterations, fitting)

    def passes_for(self, call_ns: float) -> int:
        """Passes of a round for a call of this length; a tail objective wants more calls per round."""
        if self.passes:
            return self.passes
        passes = schedule.passes_per_round(call_ns)
        calls = _OBJECTIVE_CALLS.get(self.objective, 0)
        return max(passes, math.ceil(calls / schedule.slice_size(call_ns).entries))

    def of_objective(self, words: str) -> str:
        """These words about a latency, after the statistic that it is of where that is not the median."""
        return words if self.objective == "median" else f"{self.objective} {words}"

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, given: Mapping[str, Any]) -> Settings:
        known = {field.name for field in fields(cls)}
        values = {name: value for name, value in given.items() if name in known}
        if values.get("windows") is not None:
            values["windows"] = Windows(**values["windows"])
        return cls(**values)


def _check_positive(owner: object, names: tuple[str, ...]) -> None:
    """A limit that is not finite and positive disarms a gate in silence: refused."""
    for name in names:
        value = getattr(owner, name)
        if value is None:
            continue
        whole = name in _WHOLE
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
            raise UsageError(f"{name} must be a {'whole ' if whole else ''}number", evidence=f"{name}={value!r}")
        if not 0 < value < math.inf:
            raise UsageError(f"{name} must be finite and positive", evidence=f"{name}={value!r}")
