"""Settings of the in-place functions: one value for all of them, read when used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.settings import absolute_path

MOST_SAMPLES = 10
"""Recorded samples that are kept per input structure."""


@dataclass
class OptimizeConfig:
    """How recorded modules are optimised; the fields are arguments of `turnkey.optimize`."""

    sample_count: int = 100
    batching: bool | None = None
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    target_formats: Sequence[Format | str] | None = None
    target_device: DeviceKind | str | None = None
    runners: Sequence[Any] | None = None
    profiler_config: ProfilerConfig | None = None
    verbose: bool = False
    debug: bool = False
    verify_func: Any = None
    custom_configs: Sequence[CustomConfig] | None = None

    def to_arguments(self) -> dict[str, Any]:
        """Arguments for `turnkey.optimize`."""
        given = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: value for name, value in given.items() if value is not None}


@dataclass
class InplaceConfig:
    """What all in-place functions share.

    Attributes:
        cache_dir: where optimised modules are kept; None is ``<cache>/inplace`` of Turnkey's cache.
        strategies: how a winner is chosen; empty is the default order.
    """

    cache_dir: Path | str | None = None
    strategies: list[Any] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        """Absolute directory of all modules."""
        return settings.cache_dir() / "inplace" if self.cache_dir is None else absolute_path(self.cache_dir)


inplace_config = InplaceConfig()
