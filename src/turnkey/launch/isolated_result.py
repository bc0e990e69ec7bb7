"""What came of an isolated input: what its worker said, else what its end and its log tell."""

from __future__ import annotations

import signal
from dataclasses import replace

from turnkey.errors import ModelError, TurnkeyError
from turnkey.launch.isolated_process import IsolatedProcess
from turnkey.launch.last_words import last_words
from turnkey.launch.result import Result
from turnkey.launch.warden import Ending
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.aftermath import close_build
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.lean_cache import remove_artifacts
from turnkey.pipeline.quantity import size_text
from turnkey.pipeline.sequence import INTERRUPTED


def isolated_result(process: IsolatedProcess, *, out_of_memory: bool) -> Result:
    """The result of an input whose process has ended; its build is closed where the worker could not.

    Args:
        out_of_memory: whether the kernel killed for lack of memory meanwhile.
    """
    item = process.item
    paths = item.paths
    if process.result is not None:  # sent when all was done; what came later does not undo it
        return process.result.with_stored_state()
    status, error = _verdict(item, process, paths, out_of_memory=out_of_memory)
    failure = Failure(error=error, tool=process.tool)
    state = None
    try:
        state = close_build(paths, status=status, tool=process.tool, reason=error.what, error_log=str(error))
        if item.lean_cache and state is not None:
            with hold(paths):
                remove_artifacts(paths)
    except TurnkeyError as second:  # a full disk: the result is all that is left to say it
        failure = replace(failure, full_traceback=str(second))
    return Result.of(item, status, state=state, reason=error.what, failure=failure)


def _verdict(
    item: WorkItem, process: IsolatedProcess, paths: BuildPaths, *, out_of_memory: bool
) -> tuple[str, ModelError]:
    """Status and error of a worker that sent no result."""
    ending = process.ending or Ending(exit_code=process.exit_code)
    at_work = f"while {process.tool} was at work" if process.tool else "outside of any tool"
    log = paths.log(process.tool) if process.tool else process.log
    tail = f"end of {log}:\n{last_words(log)}"
    if process.was_interrupted:
        return "killed", ModelError(INTERRUPTED, evidence=f"Ctrl-C {at_work}")
    if ending.cause == "timeout":
        return "timeout", ModelError(
            f"not finished after {item.timeout:g} s, ended {at_work}",
            evidence=f"the stacks of all threads are in the log; {tail}",
            remedy="give it more time: --timeout SECONDS",
        )
    if ending.cause == "memory":
        return "killed", ModelError(
            f"killed at the memory limit {at_work}",
            evidence=f"{size_text(ending.peak_bytes)} in use, limit {size_text(item.memory_limit or 0)}; {tail}",
            remedy="a higher --memory-limit, or a smaller batch",
        )
    if ending.cause in ("disk", "output"):
        limit = (item.disk_limit if ending.cause == "disk" else item.output_limit) or 0
        where = "its build and temporary directories hold" if ending.cause == "disk" else "its logs hold"
        return "killed", ModelError(
            f"killed at the {ending.cause} limit {at_work}",
            evidence=f"{where} {size_text(ending.used_bytes)}, limit {size_text(limit)}; {tail}",
            remedy=f"a higher --{ending.cause}-limit, if that is what it needs",
        )
    how = _how(ending.exit_code) if process.ending else f"its warden died, {_how(process.exit_code)}"
    memory = "; the kernel killed for lack of memory meanwhile" if out_of_memory else ""
    return "killed", ModelError(
        f"the process ended {at_work}: {how}",
        evidence=f"{how}{memory}; {tail}",
        remedy="run the script by itself to see it: python " + item.path if item.path.endswith(".py") else "",
    )


def _how(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"
