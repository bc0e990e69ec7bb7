"""Send many inputs through a sequence: in this process, or each in a process of its own."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from turnkey.errors import TurnkeyError
from turnkey.launch.abrupt_exit import abrupt_exit_told
from turnkey.launch.all_models import with_all_models
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.execution import finished_event, run_item
from turnkey.launch.isolation import run_isolated
from turnkey.launch.options import Options
from turnkey.launch.plan import build_of, check_sequences, labels_of, sequence_for, work_item
from turnkey.launch.result import FAILED, Interrupted, Result
from turnkey.launch.work_item import WorkItem
from turnkey.model.inputs import Input
from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import Event, Listener, silent
from turnkey.pipeline.failure import Failure
from turnkey.pipeline.sequence import INTERRUPTED, Sequence
from turnkey.pipeline.state_file import load_state


def evaluate(
    inputs: Iterable[Input],
    sequence: Sequence | None = None,
    options: Options | None = None,
    listen: Listener = silent,
) -> list[Result]:
    """One result per input, in order; a failing input never stops the others unless ``fail_fast``.

    Args:
        inputs: from `turnkey.model.inputs.expand_inputs`.
        sequence: None sends each input through the default sequence of its kind.

    Raises:
        UsageError: before anything runs: an input cannot go through the sequence.
        Interrupted: Ctrl-C; carries the results, those after the interruption as ``not_started``.
    """
    options = options or Options()
    inputs = list(inputs)
    check_sequences(inputs, sequence)
    inputs = with_all_models(inputs, sequence, seconds=options.timeout, listen=listen)
    call = CallFolder.open(options, [source.text for source in inputs], sequence)
    results: list[Result] = []
    number, item, began = 0, None, 0.0
    try:
        for number, source in enumerate(inputs, start=1):
            item, began = None, time.time()
            item = _planned(source, number, sequence, options, listen)
            if isinstance(item, Result):
                results.append(item)
                listen(finished_event(item))
            else:
                results.append(_worked_on(item, call, options, listen))
            call.keep_result(number, results[-1])
            if options.fail_fast and results[-1].status in FAILED:
                break
    except KeyboardInterrupt as interruption:
        if isinstance(interruption, Interrupted):
            results.append(interruption.results[0])
        elif len(results) < number and item is not None:
            results.append(_interrupted(inputs[number - 1], item, options, began))
        if results:
            call.keep_result(len(results), results[-1])
        raise Interrupted([*results, *_not_started(inputs[len(results) :], options)]) from None
    return [*results, *_not_started(inputs[len(results) :], options)]


def _worked_on(item: WorkItem, call: CallFolder, options: Options, listen: Listener) -> Result:
    try:
        path = call.keep_item(item)
        if options.process_isolation:
            return run_isolated(item, path, log=call.log(item.number), listen=listen)
    except TurnkeyError as error:  # the cache cannot be written, or no process can be started
        result = Result(
            input=item.input,
            status="error",
            build_name=item.build_name,
            cache_dir=options.cache_dir,
            reason=error.what,
            failure=Failure.of(error),
        )
        listen(finished_event(result))
        return result
    with abrupt_exit_told(item.input):
        return run_item(item, listen=listen)


def _planned(
    source: Input, number: int, sequence: Sequence | None, options: Options, listen: Listener
) -> WorkItem | Result:
    """The work item of an input; its result where not even a build directory can be had."""
    try:
        labels, warnings = labels_of(source)
        for warning in warnings:
            listen(Event(kind="note", input=source.text, text=warning))
        build = build_of(source, labels, options.cache_dir)
    except (TurnkeyError, OSError) as caught:
        error = durable.cannot_write(options.cache_dir, caught) if isinstance(caught, OSError) else caught
        result = _stopped(source, options, "error", error.what)
        return replace(result, failure=Failure.of(error))
    return work_item(
        source,
        number=number,
        sequence=sequence_for(source.kind, sequence),
        build=build,
        labels=labels,
        options=options,
    )


def _stopped(source: Input, options: Options, status: str, reason: str) -> Result:
    return Result(input=source.text, status=status, cache_dir=options.cache_dir, reason=reason)


def _interrupted(source: Input, item: WorkItem | Result | None, options: Options, began: float) -> Result:
    """The result of the input that Ctrl-C met, with its build where that was known already.

    Args:
        began: time of the clock when work on it began. What its build says since then holds: an interruption after
            the last tool does not undo it.
    """
    result = _stopped(source, options, "killed", INTERRUPTED)
    if item is None:
        return result
    result = replace(result, build_name=item.build_name, cache_dir=Path(item.cache_dir))
    path = BuildPaths(result.cache_dir, result.build_name).state
    try:
        state = load_state(state_path=path)
        is_of_this_run = path.stat().st_mtime >= began
    except (TurnkeyError, OSError):  # interrupted before its first write
        return result
    if not is_of_this_run or state.build_status == "killed":
        return replace(result, state=state)
    return replace(result, state=state, status=state.build_status, reason=str(state.statistics.get("reason", "")))


def _not_started(inputs: Iterable[Input], options: Options) -> list[Result]:
    return [_stopped(source, options, "not_started", "the call stopped before this input") for source in inputs]
