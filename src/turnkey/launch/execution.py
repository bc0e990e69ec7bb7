"""Work on one item: the one function behind the plain call, the isolated worker and the job elsewhere."""

from __future__ import annotations

import gc
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from turnkey.discovery import let_go
from turnkey.errors import InputError
from turnkey.launch.result import Result
from turnkey.launch.resumption import resumption_of
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.events import Listener
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.lean_cache import remove_artifacts
from turnkey.pipeline.sequence import Outcome
from turnkey.pipeline.sequence_input import describe_input
from turnkey.pipeline.state import State


def run_item(item: WorkItem, *, listen: Listener) -> Result:
    """Send one input through its sequence; every failure of it is in the result.

    Raises:
        KeyboardInterrupt: passed on; the build says so.
    """
    started = time.perf_counter()
    listen(item.started_event)
    paths = item.paths
    try:
        outcome = _outcome(item, paths, listen)
    except KeyboardInterrupt:
        let_go()
        raise
    except Exception as error:  # noqa: BLE001 - even a defect of ours must not stop the other inputs
        failure = Failure.of(error)
        nothing = State(paths.cache_dir, paths.build_name)
        outcome = Outcome(state=nothing, status="error", reason=failure.error.what, failure=failure)
    result = Result.of(
        item,
        outcome.status,
        state=replace(outcome.state, model=None),
        reason=outcome.reason,
        failure=outcome.failure.detached() if outcome.failure else None,
        seconds=time.perf_counter() - started,
    )
    del outcome
    let_go()
    gc.collect()  # models stand in cycles; the next input must not find this one's in memory
    listen(result.finished_event)
    return result


def finished_before(item: WorkItem) -> Result | None:
    """The result of an item that is resumed and has nothing left to do; None if there is something to do."""
    if not item.resume:
        return None
    try:
        found = resumption_of(item.sequence, _state_before(item, item.paths), item.paths, retry=item.retry)
    except Exception:  # noqa: BLE001 - whoever works on it will meet the same, and say why it cannot be begun
        return None
    if found.state is None or found.finished < len(item.steps):
        return None
    return Result.of(item, found.status, state=found.state, reason=found.reason, failure=found.failure)


def _outcome(item: WorkItem, paths: BuildPaths, listen: Listener) -> Outcome:
    sequence = item.sequence
    state = _state_before(item, paths)
    finished = 0
    if item.resume:
        resumption = resumption_of(sequence, state, paths, retry=item.retry)
        if resumption.state is not None and resumption.finished == len(sequence.steps):
            return Outcome(
                state=resumption.state,
                status=resumption.status,
                reason=resumption.reason,
                failure=resumption.failure,
            )
        if resumption.reason:
            listen(item.note(f"{item.build_name}: {resumption.reason}"))
        if resumption.state is not None:
            environment = {**resumption.state.environment, **state.environment}
            state, finished = replace(resumption.state, environment=environment), resumption.finished
    outcome = sequence.run(
        state,
        listen=listen,
        finished=finished,
        echo=item.verbose,
        named=item.path,
        shown=item.input,
        reuse=item.reuse,
    )
    if item.lean_cache and outcome.status != "skipped" and finished < len(sequence.steps):
        with hold(paths):
            remove_artifacts(paths)
    return outcome


def _state_before(item: WorkItem, paths: BuildPaths) -> State:
    """The state that enters the first tool; that of a continued build is read by its first tool."""
    environment: dict[str, Any] = {"seed": item.seed}
    if item.slurm_log is not None:
        environment["slurm_log"] = item.slurm_log
    if item.path.endswith("_state.yaml"):
        return State(paths.cache_dir, paths.build_name, environment=environment)
    return State(
        paths.cache_dir,
        paths.build_name,
        input=describe_input(item.absolute_path, target=item.target, first=item.steps[0][1]),
        labels={key: tuple(values) for key, values in item.labels.items()},
        environment=environment,
        statistics=_library_place(item.absolute_path),
    )


def _library_place(path: Path) -> dict[str, str]:
    """Where the script is among those that come with Turnkey, if it is."""
    from turnkey.tools.models_location import models_directory

    try:
        return {"builtin_model_script": path.relative_to(models_directory()).as_posix()}
    except (ValueError, InputError):  # a script of the user's own, or none came along
        return {}
