"""What ``--resume`` finds of an earlier run of an equal work item.

Equal means: the same bytes of the input and of the files that it imported from its directory, the same hash, sequence
and effective arguments, and the same versions of what computes. The earlier run's side of the key is in its state
file, so nothing else has to survive a ``kill -9``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnkey.errors import ModelError, TurnkeyError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.environment import versions
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.sequence import INTERRUPTED, Sequence
from turnkey.pipeline.source_file import digests
from turnkey.pipeline.state import State
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.tool import Steps

_DONE = ("successful", "skipped")


@dataclass(frozen=True, slots=True, kw_only=True)
class Resumption:
    """Where to go on.

    Attributes:
        state: what the finished steps left; None to start anew.
        finished: how many first steps of the sequence are done; all of them if there is nothing left to do.
        reason: in words, for the user; empty if there was no earlier run.
        status: of the input if nothing is left to do: ``skipped``, or as which it failed then.
        failure: how it failed then.
    """

    state: State | None = None
    finished: int = 0
    reason: str = ""
    status: str = "skipped"
    failure: Failure | None = None


def resumption_of(sequence: Sequence, state: State, paths: BuildPaths, *, retry: Iterable[str] = ()) -> Resumption:
    """What an earlier run on this build allows to leave out.

    Args:
        retry: kinds of failure that are run again, of `turnkey.launch.options.RETRIES`; none named means all.
        state: as it would enter the first tool now, with the input's present digest; without an input for a sequence
            that continues a build.
    """
    if not paths.state.is_file():
        return Resumption()
    try:
        earlier = load_state(state_path=paths.state)
    except TurnkeyError as error:
        return Resumption(reason=f"starting anew: {error.what}")
    last = earlier.sequence[-len(sequence.steps) :]
    then = content_key(earlier.input, tuple((tool, arguments) for tool, arguments, _ in last), earlier.environment)
    present = {"versions": versions(), "seed": state.environment.get("seed", 0)}
    if content_key(_present_input(earlier, state), sequence.steps, present) != then:
        return Resumption(reason="starting anew: input, sequence or versions are not those of the earlier run")
    statuses = [status for _, _, status in last]
    if earlier.build_status in _DONE:
        when = earlier.statistics.get("timestamp", "an unknown time")
        return Resumption(state=earlier, finished=len(last), reason=f"finished before, at {when}")
    kind, wanted = _kind_of_failure(earlier), tuple(retry)
    if wanted and kind and kind not in wanted:
        return _as_it_failed(earlier, kind, finished=len(last))
    if earlier.build_status != "killed":
        return Resumption(reason=f"running again: the earlier run ended with {earlier.build_status}")
    finished = next((index for index, status in enumerate(statuses) if status not in _DONE), len(statuses))
    stored = [paths.directory / variant.path for variant in earlier.variants]
    if finished == 0 or not stored:
        at_work = sequence.names[min(finished, len(statuses) - 1)]
        return Resumption(
            reason=f"starting anew: the earlier run ended in {at_work}, before any file of a model was stored"
        )
    if not all(path.is_file() for path in stored):
        return Resumption(reason="starting anew: what the earlier run had stored until it was interrupted is gone")
    return Resumption(state=earlier, finished=finished, reason=f"going on after {sequence.names[finished - 1]}")


def _kind_of_failure(earlier: State) -> str:
    """A kind of `turnkey.launch.options.RETRIES`; empty for a run that did not fail by itself, but was interrupted."""
    if earlier.build_status == "timeout":
        return "timeout"
    # A worker that crashed was killed too, but then its call lived on and wrote down why.
    crashed = bool(earlier.statistics.get("error_log")) and earlier.statistics.get("reason") != INTERRUPTED
    return "failed" if earlier.build_status == "error" or (earlier.build_status == "killed" and crashed) else ""


def _as_it_failed(earlier: State, kind: str, *, finished: int) -> Resumption:
    """The failure of the earlier run, told again, since it is not to be retried."""
    reason = str(earlier.statistics.get("reason") or earlier.build_status)
    tool = next((name for name, _, status in earlier.sequence[-finished:] if status == earlier.build_status), "")
    error = ModelError(
        reason,
        evidence=f"in the run of {earlier.statistics.get('timestamp', 'an unknown time')}; not run again",
        remedy=f"run it again: --retry {kind}",
    )
    return Resumption(
        state=earlier,
        finished=finished,
        reason=f"failed before: {reason}",
        status=earlier.build_status,
        failure=Failure(error=error, tool=tool),
    )


def content_key(source: Mapping[str, Any], steps: Steps, environment: Mapping[str, Any]) -> str:
    """SHA-256 over what decides the result of a work item, as 64 hex digits.

    Args:
        source: the ``input`` of a state: digests of the file and of those it imported, the hash, never the path.
        steps: with effective arguments.
        environment: of a state: ``versions`` and ``seed``.
    """
    content = {
        "input": source.get("sha256"),
        "imported": sorted(dict(source.get("imported") or {}).items()),
        "hash": source.get("hash"),
        "steps": [[tool, dict(arguments)] for tool, arguments in steps],
        "versions": environment.get("versions"),
        "seed": environment.get("seed", 0),
    }
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _present_input(earlier: State, state: State) -> Mapping[str, Any]:
    """The input as it is now; which files belong to it only the earlier run knows."""
    if not state.input:
        return earlier.input
    return {**state.input, "imported": digests(earlier.input.get("imported") or {})}
