"""What is asked of profiling, in the page's terms, and the same in those of the measuring engine."""

from __future__ import annotations

from dataclasses import dataclass, field

from turnkey.measure import Windows
from turnkey.measure.ladder import LadderRule
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profiler_config import MeasurementMode, ProfilerConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfilePlan:
    """What is asked of profiling.

    Attributes:
        config: the page's configuration.
        later: the later form, where that is what the caller gave.
        effort: of the measuring engine at each rung.
        on_unstable: ``error`` (documented) or ``flag``.
        threads: of every runner; None is the fair count of this machine.
        budget_s: wall time after which no further rung starts.
        seed: of the order in which runners are measured.
    """

    config: ProfilerConfig = field(default_factory=ProfilerConfig)
    later: OptimizationProfile | None = None
    effort: str = "quick"
    on_unstable: str = "error"
    threads: int | None = None
    budget_s: float | None = None
    seed: int = 0

    def windows(self) -> Windows:
        """The window rule in the engine's terms."""
        config, later = self.config, self.later
        is_count = config.measurement_mode is MeasurementMode.COUNT_WINDOWS
        return Windows(
            mode="COUNT_WINDOWS" if is_count else "TIME_WINDOWS",
            measurement_request_count=config.measurement_request_count or 50,
            measurement_interval=float(config.measurement_interval or 5000),
            stability_percentage=float(config.stability_percentage),
            max_trials=config.max_trials,
            stabilization_windows=None if later is None else later.stabilization_windows,
            min_trials=None if later is None else later.min_trials,
        )

    def rule(self, *, batched: bool) -> LadderRule:
        """The ladder in the engine's terms; a model without a batch axis has one rung."""
        sizes = self.config.batch_sizes
        given: tuple[int, ...] | None = None
        if not batched or self.config.is_as_given:
            given = (1,)
        elif sizes is not None:
            given = tuple(size for size in sizes if size is not None)
        return LadderRule(
            throughput_cutoff_threshold=None if self.config.never_stops else self.config.throughput_cutoff_threshold,
            throughput_backoff_limit=None if self.later is None else self.later.throughput_backoff_limit,
            batch_sizes=given,
            max_batch_size=None if self.later is None else self.later.max_batch_size,
            on_unstable="flag" if self.on_unstable == "flag" else "stop",
            unstable_repeats=2,
        )
