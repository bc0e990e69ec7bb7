"""How long tools took in earlier runs, from the statistics of builds: what estimates and percentages rest on."""

from __future__ import annotations

from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.statistics import read_statistics

_PREFIX = "tool_duration:"


def read_durations(paths: BuildPaths) -> dict[str, float]:
    """Seconds by tool in the latest run of a build; empty where there was none or its statistics cannot be read."""
    return {
        key.removeprefix(_PREFIX): float(value)
        for key, value in read_known_statistics(paths).items()
        if key.startswith(_PREFIX) and isinstance(value, (int, float)) and value > 0
    }


def read_known_statistics(paths: BuildPaths) -> dict[str, Any]:
    """Statistics of a build; empty where there are none or they cannot be read."""
    try:
        return read_statistics(paths)
    except TurnkeyError:  # an estimate is not the place to complain; whoever needs the build will
        return {}
