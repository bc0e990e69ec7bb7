"""Statistics that every build has, whatever its tools: what went in, on which machine, with which tools."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from turnkey.host import system_info
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.state import State
from turnkey.pipeline.statistics import now
from turnkey.version import __version__

_OF_THE_RUN_BEFORE = ("error_log", "reason")


def with_general_statistics(state: State, *, tools: list[str]) -> State:
    """The state at the start of a run; an error of the run before is gone.

    Args:
        tools: names of all tools of the build's sequence.
    """
    labels = {key: list(values) for key, values in state.labels.items()}
    kept = {key: value for key, value in state.statistics.items() if key not in _OF_THE_RUN_BEFORE}
    return replace(state, statistics=kept).with_statistics(
        build_name=state.build_name,
        model_name=kept.get("model_name") or Path(str(state.input.get("path", state.build_name))).stem,
        labels=labels,
        author=" ".join(labels["author"]) if "author" in labels else None,
        task=" ".join(labels["task"]) if "task" in labels else None,
        input=state.input.get("path"),
        input_sha256=state.input.get("sha256"),
        turnkey_version=__version__,
        timestamp=now(),
        selected_sequence_of_tools=tools,
        system_info=kept.get("system_info") or _system(),
        slurm_log=state.environment.get("slurm_log"),
    )


@cache
def _system() -> dict[str, Any]:
    found: dict[str, Any] = plain(system_info().to_dict())
    return {key: value for key, value in found.items() if value not in (None, "", [])}
