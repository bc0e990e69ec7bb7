"""Settings of the in-place functions: one value for all of them, read when used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.navigator.call_arguments import CallArguments
from turnkey.navigator.custom_config import CustomConfig
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.settings import absolute_path

MOST_SAMPLES = 10
"""Recorded samples that are kept per input structure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OptimizeConfig(CallArguments):
    """How recorded modules are optimised: the arguments of `turnkey.optimize`, but for the workspace.

    Attributes:
        batching: None asks each module, then whether a batch size was said when it was recorded.

    Raises:
        ConfigurationError: a workspace is named; every module has one of its own.
    """

    batching: bool | None = None

    def __post_init__(self) -> None:
        if self.workspace is not None or self.override_workspace:
            raise ConfigurationError(
                "wrapped modules have workspaces of their own",
                evidence=f"workspace={self.workspace!r}, override_workspace={self.override_workspace!r}",
                remedy="turnkey.Module(module, model_path=DIRECTORY), or turnkey.navigator.inplace_config.cache_dir",
            )

    def for_module(self, *, batching: bool, custom_configs: Sequence[CustomConfig], workspace: Path) -> CallArguments:
        """The call that optimises one module in a workspace, whatever an earlier one left there."""
        given = {each.name: getattr(self, each.name) for each in fields(CallArguments)}
        own = {"batching": batching, "custom_configs": custom_configs, "workspace": workspace}
        return CallArguments(**{**given, **own, "override_workspace": True})


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
