"""How profiling goes over batch sizes: the heart of the Common API page.

The page's table and its shown ``from_dict`` contradict each other; the table wins, and there is one source of
defaults, the fields below: ``from_dict({}) == ProfilerConfig()``.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any

from turnkey.navigator.data_object import DataObject
from turnkey.navigator.exceptions import ConfigurationError, ConfigurationWarning
from turnkey.navigator.format import member
from turnkey.nearest import nearest

DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD = 0.05


class MeasurementMode(Enum):
    """Measurement mode.

    TIME_WINDOWS mode run measurement windows with fixed time length. COUNT_WINDOWS mode run measurement windows with
    fixed number of requests.
    """

    TIME_WINDOWS = "time_windows"
    COUNT_WINDOWS = "count_windows"


@dataclass
class ProfilerConfig(DataObject):
    """Profiler configuration.

    For each batch size the profiler runs measurements in windows of a fixed time or a fixed number of requests, batch
    sizes in ascending order, until three consecutive windows agree or the trials are used up.

    Attributes:
        run_profiling: profile, or skip profiling.
        batch_sizes: what to profile; None is automatic (1, 2, 4, … until a stop rule; the sample as it is without a
            batch axis); ``[None]`` is the sample as it is.
        measurement_mode: which of the two windows.
        measurement_interval: milliseconds of a window, in TIME_WINDOWS mode.
        measurement_request_count: requests of a window, in COUNT_WINDOWS mode.
        stability_percentage: allowed deviation of a window's mean from the mean of the last windows.
        max_trials: largest number of windows.
        throughput_cutoff_threshold: smallest relative gain with which profiling goes on; None or ≤ −1 never stops.

    Raises:
        ConfigurationError: a value that does not mean anything; all of them in one error.
    """

    run_profiling: bool = True
    batch_sizes: list[int | None] | None = None
    measurement_mode: MeasurementMode = MeasurementMode.COUNT_WINDOWS
    measurement_interval: float | None = 5000
    measurement_request_count: int | None = 50
    stability_percentage: float = 10.0
    max_trials: int = 10
    throughput_cutoff_threshold: float | None = DEFAULT_PROFILING_THROUGHPUT_CUTOFF_THRESHOLD

    def __post_init__(self) -> None:
        self.measurement_mode = member(MeasurementMode, self.measurement_mode, what="measurement_mode")
        is_count = self.measurement_mode is MeasurementMode.COUNT_WINDOWS
        wrong = [
            *_batch_size_faults(self.batch_sizes),
            *_fault("measurement_interval", self.measurement_interval, least=1, may_be_none=is_count),
            *_fault(
                "measurement_request_count",
                self.measurement_request_count,
                least=1,
                whole=True,
                may_be_none=not is_count,
            ),
            *_fault("stability_percentage", self.stability_percentage, above=0),
            *_fault("max_trials", self.max_trials, least=1, whole=True),
            *_fault("throughput_cutoff_threshold", self.throughput_cutoff_threshold, may_be_none=True),
        ]
        if not isinstance(self.run_profiling, bool):
            wrong.append(f"run_profiling is {self.run_profiling!r}, not True or False")
        if wrong:
            raise ConfigurationError("the profiler configuration does not mean anything", evidence="\n".join(wrong))
        if self.batch_sizes is not None:
            self.batch_sizes = list(self.batch_sizes)
        # None stands for the default, here as in stored packages, so that to_dict and from_dict are inverse.
        if self.measurement_interval is None:
            self.measurement_interval = type(self).measurement_interval
        if self.measurement_request_count is None:
            self.measurement_request_count = type(self).measurement_request_count

    @classmethod
    def from_dict(cls, profiler_config_dict: Mapping[str, Any]) -> ProfilerConfig:
        """Instantiate ProfilerConfig class from a dictionary.

        A key that is missing has the constructor's default, and so has None for the interval or the count, which
        older packages hold. An unknown key is a `ConfigurationWarning` and otherwise ignored.
        """
        known = [field.name for field in fields(cls)]
        values = {}
        for key, value in profiler_config_dict.items():
            if key not in known:
                near = nearest(str(key), known, most=1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                warnings.warn(f"ProfilerConfig has no field {key!r}{hint}", ConfigurationWarning, stacklevel=2)
            elif not (value is None and key in ("measurement_interval", "measurement_request_count")):
                values[key] = value
        return cls(**values)

    @property
    def is_as_given(self) -> bool:
        """Whether samples are profiled as they are: ``batch_sizes=[None]``."""
        return self.batch_sizes == [None]

    @property
    def never_stops(self) -> bool:
        """Whether no gain is too small to go on."""
        return self.throughput_cutoff_threshold is None or self.throughput_cutoff_threshold <= -1


def _batch_size_faults(given: Any) -> list[str]:
    if given is None or given == [None] or given == (None,):
        return []
    if isinstance(given, str) or not isinstance(given, list | tuple) or not given:
        return [f"batch_sizes is {given!r}, not a list of whole numbers from 1"]
    if None in given:
        return [f"batch_sizes mixes None with numbers: {given!r}"]
    bad = [size for size in given if isinstance(size, bool) or not isinstance(size, int) or size < 1]
    return [f"batch_sizes holds {bad[0]!r}; batch sizes are whole numbers from 1"] if bad else []


def _fault(
    name: str,
    value: Any,
    *,
    least: float | None = None,
    above: float | None = None,
    whole: bool = False,
    may_be_none: bool = False,
) -> list[str]:
    if value is None:
        return [] if may_be_none else [f"{name} is None, which is for the other measurement mode"]
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        return [f"{name} is {value!r}, not a {'whole ' if whole else ''}number"]
    if not math.isfinite(value) or (least is not None and value < least) or (above is not None and value <= above):
        bound = f"at least {least:g}" if least is not None else f"above {above:g}" if above is not None else "finite"
        return [f"{name} is {value!r}; it must be {bound}"]
    return []
