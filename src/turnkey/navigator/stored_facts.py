"""What a package stores of its call and its run, checked where it is read: later steps believe it."""

from __future__ import annotations

import math
import warnings
from typing import Any

from turnkey.model.call import CallStructure
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.typed_record import mapping, typed

_TEXTS = tuple[str, ...]
_CONFIG: dict[str, Any] = {
    "framework": str,
    "target_formats": _TEXTS,
    "target_device": str | None,
    "sample_count": int | None,
    "runner_names": _TEXTS,
    "batch_dim": int | None,
    "_input_names": tuple[str, ...] | None,
    "_output_names": tuple[str, ...] | None,
}
"""Of ``config``: the keys that steps read, and their types."""


def check_config(config: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a call, as it is stored. Raises ValueError for a value of another type."""
    for name, kind in _CONFIG.items():
        if config.get(name) is not None:
            typed(kind, config[name], name)
    for fields in mapping(config.get("custom_configs")).values():
        mapping(fields)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # fields of other versions are said where the configuration is used
            ProfilerConfig.from_dict(mapping(config.get("profiler_config")))
    except ConfigurationError as error:
        raise ValueError(f"profiler_config: {error.evidence}") from error
    return config


def check_environment(environment: dict[str, Any]) -> dict[str, Any]:
    """The machine of a run. Raises ValueError for a part that is no mapping."""
    for part in ("cpu", "gpu", "os"):
        mapping(environment.get(part))
    return environment


def check_ranges(profile: dict[str, Any]) -> dict[str, Any]:
    """The range of every input's shape. Raises ValueError for extents that are no whole numbers."""
    for name, shapes in profile.items():
        for which, shape in mapping(shapes).items():
            typed(tuple[int, ...], shape, f"{which} of {name}")
    return profile


def check_facts(facts: dict[str, Any]) -> dict[str, Any]:
    """What only Turnkey stores of a run.

    Raises:
        ValueError, KeyError, TypeError: a value of another type.
    """
    for name in ("fingerprint", "source_name"):
        typed(str | None, facts.get(name), name)
    typed(_TEXTS, facts.get("notes") or (), "notes")
    if facts.get("structure") is not None:
        CallStructure.from_dict(mapping(facts["structure"]))
    for name, axes in mapping(facts.get("dynamic_axes")).items():
        if axes is None:
            raise ValueError(f"the dynamic axes of {name} are missing")
        for axis, symbol in mapping(axes).items():
            int(axis)
            typed(str, symbol, "dynamic_axes")
    typed(int | None, facts.get("max_batch"), "max_batch")
    settings = mapping(facts.get("settings"))
    typed(int | None, settings.get("threads"), "threads")
    for name in ("effort", "on_unstable"):
        typed(str | None, settings.get(name), name)
    try:
        OptimizationProfile.from_dict(mapping(settings.get("optimization_profile")))
    except ConfigurationError as error:
        raise ValueError(f"optimization_profile: {error.evidence}") from error
    for pair in mapping(settings.get("tolerances")).values():
        limits = () if pair is None else typed(tuple[float, ...], pair, "tolerances")
        if pair is not None and (len(limits) != 2 or not all(0 <= limit < math.inf for limit in limits)):
            raise ValueError(f"a tolerance {pair!r} is no pair of limits")  # with NaN everything would pass
    return facts
