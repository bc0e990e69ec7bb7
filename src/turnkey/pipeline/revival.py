"""Bringing the live model of a stored build back: its script is run once more, with the same hash and arguments."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from turnkey.errors import InputError
from turnkey.pipeline.sequence_input import describe_input
from turnkey.pipeline.source_file import changed_files
from turnkey.pipeline.state import State
from turnkey.pipeline.toolbox import find_tool

_DISCOVERER = "discover"


def is_from_script(state: State) -> bool:
    """Whether the build began with a script, so that its model can be had again."""
    return bool(state.sequence) and state.sequence[0][0] == _DISCOVERER


def revived(state: State) -> State:
    """The state with its model in memory again.

    Raises:
        InputError: the script is gone.
        TurnkeyError: it fails now, or the model with the stored hash is no longer in it.
    """
    path = Path(str(state.input.get("path", "")))
    if not path.is_file():
        raise InputError(
            "the script of this build is gone; its model was only in memory",
            evidence=str(path),
            remedy="put it back, or name the script where it is now: turnkey -i SCRIPT.py discover …",
        )
    asked = state.input.get("hash")
    found = _discovered(state, path, target=asked)
    if not asked and state.model_hash and found.model_hash != state.model_hash:
        # The choice that discovery made by itself is another one in the changed script: ask for what it was.
        found = _discovered(state, path, target=state.model_hash[:8])
    return replace(
        state,
        model=found.model,
        input=found.input,
        model_hash=found.model_hash,
        weights_hash=found.weights_hash,
        expected_input_shapes=found.expected_input_shapes,
        expected_input_dtypes=found.expected_input_dtypes,
        expected_output_names=found.expected_output_names,
        statistics={**state.statistics, **found.statistics, "input_sha256": found.input["sha256"]},
    )


def _discovered(state: State, path: Path, *, target: str | None) -> State:
    """What discovery finds now, with the stored arguments."""
    arguments = dict(state.sequence[0][1])
    fresh = State(
        state.cache_dir,
        state.build_name,
        input=describe_input(path, target=state.input.get("hash"), first=arguments),
        labels=state.labels,
        environment=state.environment,
    )
    return find_tool(_DISCOVERER)().run(fresh, **{**arguments, "input": str(path), "target": target})


def changes(state: State) -> tuple[str, ...]:
    """Files of the input that are not what they were when the build was made."""
    recorded = dict(state.input.get("imported") or {})
    if state.input.get("path") and state.input.get("sha256"):
        recorded[state.input["path"]] = state.input["sha256"]
    return changed_files(recorded)
