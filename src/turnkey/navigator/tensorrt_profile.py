"""Ranges of input shapes for engines that are built for ranges."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from turnkey.navigator.exceptions import ConfigurationError


class ShapeRange(NamedTuple):
    """Smallest, most usual and largest shape of one input, batch axis first."""

    min: tuple[int, ...]
    opt: tuple[int, ...]
    max: tuple[int, ...]


class TensorRTProfile(dict[str, ShapeRange]):
    """Input name to its range. An unknown name is a KeyError that lists the known ones."""

    def add(self, name: str, min: Sequence[int], opt: Sequence[int], max: Sequence[int]) -> TensorRTProfile:
        """Add one input; returns the profile, so that calls can be chained.

        Raises:
            ConfigurationError: shapes of different rank, or not ascending.
        """
        ranges = ShapeRange(tuple(min), tuple(opt), tuple(max))
        ordered = len({len(shape) for shape in ranges}) == 1 and all(
            low <= middle <= high for low, middle, high in zip(*ranges, strict=True)
        )
        if not ordered:
            raise ConfigurationError(
                f"the shapes of {name!r} are not min <= opt <= max in every axis",
                evidence=f"min {list(min)}, opt {list(opt)}, max {list(max)}",
            )
        self[name] = ranges
        return self

    def __missing__(self, name: str) -> ShapeRange:
        raise KeyError(f"the profile has no input {name!r}; it has: {', '.join(self) or 'none'}")

    def to_dict(self) -> dict[str, dict[str, list[int]]]:
        """Plain data."""
        return {
            name: {"min": list(shapes.min), "opt": list(shapes.opt), "max": list(shapes.max)}
            for name, shapes in self.items()
        }

    @classmethod
    def from_dict(cls, profile_dict: Mapping[str, Mapping[str, Any]]) -> TensorRTProfile:
        """The profile of `to_dict`. Raises ConfigurationError for what is none."""
        profile = cls()
        for name, shapes in profile_dict.items():
            try:
                profile.add(name, shapes["min"], shapes["opt"], shapes["max"])
            except (KeyError, TypeError) as error:
                raise ConfigurationError(
                    "a TensorRT profile has min, opt and max for every input", evidence=f"{name}: {shapes!r}"
                ) from error
        return profile
