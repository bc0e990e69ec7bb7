"""The arguments of `turnkey.optimize` after model and dataloader: their names and defaults, once.

The signature of `optimize` shows the same names and defaults, since that is the documented page; a test holds the two
together. Recipes and packages make calls from these.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.format import DeviceKind, Format
from turnkey.navigator.optimization_profile import OptimizationProfile
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.tolerances import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class CallArguments:
    """What a call asks for, as it was given. What each means is said by `turnkey.navigator.dispatch.optimize`."""

    sample_count: int = 100
    batching: bool | None = True
    input_names: Sequence[str] | None = None
    output_names: Sequence[str] | None = None
    target_formats: Sequence[Format | str] | None = None
    target_device: DeviceKind | str | None = None
    runners: Sequence[Any] | None = None
    profiler_config: ProfilerConfig | None = None
    workspace: str | Path | None = None
    verbose: bool = False
    debug: bool = False
    verify_func: Callable[..., bool] | None = None
    custom_configs: Sequence[CustomConfig] | None = None
    optimization_profile: OptimizationProfile | None = None
    tolerances: Limits | None = None
    effort: str = "quick"
    on_unstable: str = "error"
    threads: int | None = None
    budget_s: float | None = None
    override_workspace: bool = False
