"""The later form of the profiler's configuration: count windows only, and a backoff instead of one comparison."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from turnkey.navigator.data_object import DataObject
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.profiler_config import DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD, ProfilerConfig


@dataclass
class OptimizationProfile(DataObject):
    """How profiling goes over batch sizes, in the later names.

    Attributes:
        max_batch_size: largest rung of the ladder of powers of two, itself a rung.
        batch_sizes: the rungs instead.
        window_size: requests of a window.
        stabilization_windows: how many last windows must agree.
        min_trials, max_trials: of windows.
        throughput_backoff_limit: rungs of grace that do not gain over the best before profiling stops.
        dataloader: samples to profile with instead of the call's own; never stored.

    Raises:
        ConfigurationError: a value that does not mean anything; all of them in one error.
    """

    max_batch_size: int | None = None
    batch_sizes: list[int | None] | None = None
    window_size: int = 25
    stability_percentage: float = 10.0
    stabilization_windows: int = 3
    min_trials: int = 3
    max_trials: int = 10
    throughput_cutoff_threshold: float | None = DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD
    throughput_backoff_limit: int = 2
    dataloader: Any = field(default=None, compare=False)

    def __post_init__(self) -> None:
        wrong = [
            f"{name} is {value!r}; it must be a whole number from {least}"
            for name, least in (
                ("window_size", 1),
                ("stabilization_windows", 1),
                ("min_trials", 1),
                ("max_trials", 1),
                ("throughput_backoff_limit", 0),
                ("max_batch_size", 1),
            )
            if not (name == "max_batch_size" and self.max_batch_size is None)
            and (isinstance(value := getattr(self, name), bool) or not isinstance(value, int) or value < least)
        ]
        if not wrong and self.min_trials < self.stabilization_windows:
            wrong.append(f"min_trials ({self.min_trials}) < stabilization_windows ({self.stabilization_windows})")
        if not wrong and self.max_trials < self.min_trials:
            wrong.append(f"max_trials ({self.max_trials}) < min_trials ({self.min_trials})")
        if wrong:
            raise ConfigurationError("the optimization profile does not mean anything", evidence="\n".join(wrong))
        self.profiler_config()  # checks the fields that both forms have

    def to_dict(self, filter_fields: Any = None, parse: bool = False) -> dict[str, Any]:
        """The fields by name, without the dataloader."""
        return super().to_dict({*(filter_fields or ()), "dataloader"}, parse)

    @classmethod
    def from_dict(cls, optimization_profile_dict: Mapping[str, Any]) -> OptimizationProfile:
        """The profile of `to_dict`; a missing key has the constructor's default. Raises ConfigurationError."""
        known = {each.name for each in fields(cls)}
        unknown = sorted(set(optimization_profile_dict) - known)
        if unknown:
            raise ConfigurationError(
                f"an OptimizationProfile has no field {unknown[0]!r}", evidence=f"it has: {', '.join(sorted(known))}"
            )
        return cls(**optimization_profile_dict)

    def clone(self) -> OptimizationProfile:
        """A copy of its own."""
        return replace(self, batch_sizes=None if self.batch_sizes is None else list(self.batch_sizes))

    def profiler_config(self) -> ProfilerConfig:
        """The same windows and cutoff in the page's names; what has no name there is read from the profile itself."""
        return ProfilerConfig(
            batch_sizes=self.batch_sizes,
            measurement_request_count=self.window_size,
            stability_percentage=self.stability_percentage,
            max_trials=self.max_trials,
            throughput_cutoff_threshold=self.throughput_cutoff_threshold,
        )
