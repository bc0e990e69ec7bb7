"""What is written into a build whose process could not do it itself any more: it was killed or ran out of time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold, is_held
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state, write_state
from turnkey.pipeline.statistics import error_excerpt, write_statistics


def close_build(paths: BuildPaths, *, status: str, tool: str, reason: str, error_log: str) -> State | None:
    """Say in state and statistics how an unfinished run ended; a finished one stays as it is.

    Args:
        status: ``timeout`` or ``killed``.
        tool: name in the sequence of the tool at work; empty if none was.
        reason: one line.
        error_log: evidence and the tail of the tool's log.

    Returns:
        The state as it is now; None if the run was ended before it wrote one, or before it was its turn.

    Raises:
        InputError, ArtifactError: the files of the build cannot be read or written.
    """
    if not paths.state.is_file() or is_held(paths):  # whoever works on it now will say how that ends
        return None
    with hold(paths):
        state = load_state(state_path=paths.state)
        if state.build_status not in ("incomplete", "killed"):
            return state
        sequence = tuple(
            (name, arguments, status if done == "incomplete" else done) for name, arguments, done in state.sequence
        )
        history = (*state.history[:-1], _ended(state.history[-1], status)) if state.history else ()
        state = replace(state, build_status=status, sequence=sequence, history=history).with_statistics(
            build_status=status, reason=reason, error_log=error_excerpt(error_log)
        )
        if tool:
            state = state.with_statistics(**{f"tool_status:{tool}": status})
        write_statistics(paths, state.statistics)
        write_state(state)
        return state


def _ended(entry: Mapping[str, Any], status: str) -> dict[str, Any]:
    return {**entry, "status": status}
