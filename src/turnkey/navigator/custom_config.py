"""The bases of what a user configures for one format. The names and defaults are those of the Common API page."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from turnkey.navigator.data_object import DataObject
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.navigator.format import Format

C = TypeVar("C", bound="CustomConfig")


class CustomConfig(abc.ABC):
    """Base class used for custom configs. Input for the `optimize` method."""

    @classmethod
    @abc.abstractmethod
    def name(cls) -> str:
        """Name of the CustomConfig."""

    def defaults(self) -> None:  # noqa: B027  the page defines it as doing nothing
        """Update parameters to defaults."""

    @classmethod
    def from_dict(cls: type[C], config_dict: dict[str, Any]) -> C:
        """Instantiate CustomConfig from a dictionary."""
        return cls(**config_dict)


class CustomConfigForFormat(DataObject, CustomConfig):
    """Abstract base class used for custom configs representing particular format."""

    @property
    @abc.abstractmethod
    def format(self) -> Format:
        """Format represented by CustomConfig."""


def configs_by_format(given: Sequence[CustomConfig]) -> dict[Format, CustomConfigForFormat]:
    """The configurations of a call by the format that each is for.

    Raises:
        ConfigurationError: one that is for no format, or two of one name (the last would win in silence).
    """
    found: dict[Format, CustomConfigForFormat] = {}
    for config in expanded(given):
        if not isinstance(config, CustomConfigForFormat):
            raise ConfigurationError(
                f"the custom config {type(config).__name__} is for no format",
                evidence="it is not a CustomConfigForFormat",
                remedy="derive it from turnkey.navigator.api.config.CustomConfigForFormat",
            )
        if config.format in found:
            raise ConfigurationError(
                f"two custom configs are for {config.format.value}",
                evidence=f"{found[config.format].name()} and {config.name()}",
                remedy="give one of them",
            )
        found[config.format] = config
    return found


def expanded(given: Iterable[CustomConfig]) -> list[CustomConfig]:
    """The configurations with those that an older name implies (`TorchConfig.jit_type`)."""
    found: list[CustomConfig] = []
    for config in given:
        found.append(config)
        implied = getattr(config, "implied", None)
        if implied is not None and (more := implied()) is not None:
            found.append(more)
    return found
