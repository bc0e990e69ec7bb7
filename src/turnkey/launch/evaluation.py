"""Send many inputs through a sequence: in this process, or each in a process of its own."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import chain, islice

from turnkey.errors import InputError, TurnkeyError
from turnkey.launch.abrupt_exit import abrupt_exit_told
from turnkey.launch.all_models import with_all_models
from turnkey.launch.call_folder import CallFolder
from turnkey.launch.execution import finished_before, run_item
from turnkey.launch.isolation import run_isolated
from turnkey.launch.options import Options
from turnkey.launch.plan import build_of, check_sequences, labels_of, sequence_for, work_item
from turnkey.launch.result import SUBMITTED, Interrupted, Result
from turnkey.launch.slurm_submission import check_slurm
from turnkey.launch.template import Template
from turnkey.launch.work_item import WorkItem
from turnkey.model.inputs import Input
from turnkey.pipeline import durable
from turnkey.pipeline.events import Event, Listener, silent
from turnkey.pipeline.failure import FAILED, Failure
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
        MissingDependencyError: there is no Slurm to use.
        Interrupted: Ctrl-C; carries the results, those after the interruption as ``not_started``.
    """
    options = options or Options()
    inputs = list(inputs)
    check_sequences(inputs, sequence)
    if options.use_slurm:
        check_slurm(options)
    inputs = options.shard.of(inputs)
    inputs = with_all_models(inputs, sequence, seconds=options.timeout, listen=listen)
    call = CallFolder.open(options, [source.text for source in inputs], sequence)
    work = _Work(inputs, sequence, options, call, listen)
    try:
        if options.use_slurm:
            from turnkey.launch.slurm import run_on_slurm  # the cluster's package only where a cluster is used

            run_on_slurm(work.items(), call=call, options=options, listen=listen, finish=work.finish)
        elif options.process_isolation:
            items = work.items()
            first = list(islice(items, max(1, options.prewarm)))
            with _template(inputs, sequence, options, call, at_work=len(first)) as template:
                run_isolated(
                    chain(first, items),
                    call=call,
                    jobs=options.jobs,
                    template=template,
                    listen=listen,
                    finish=work.finish,
                )
        else:
            work.run_here()
    except KeyboardInterrupt:
        raise Interrupted(work.results()) from None
    return work.results()


class _Work:
    """The inputs of one call on their way: what each is to do, and how each has ended."""

    def __init__(
        self, inputs: list[Input], sequence: Sequence | None, options: Options, call: CallFolder, listen: Listener
    ) -> None:
        self._inputs = inputs
        self._sequence = sequence
        self._options = options
        self._call = call
        self._listen = listen
        self._results: dict[int, Result] = {}
        self._stops = False

    def items(self) -> Iterator[WorkItem]:
        """Work items with something left to do, each made when it is asked for.

        An input for which none can be made has ended, and so has one that an earlier run finished.
        """
        for number, source in enumerate(self._inputs, start=1):
            if self._stops:
                return
            planned = _planned(source, number, self._sequence, self._options, self._listen)
            ended = finished_before(planned) if isinstance(planned, WorkItem) else planned
            if ended is not None:
                self._listen(ended.finished_event)
                self._keep(number, ended)
            elif isinstance(planned, WorkItem):
                yield planned

    def finish(self, item: WorkItem, result: Result) -> bool:
        """Take a result; False if no further input is to be begun."""
        self._keep(item.number, result)
        return not self._stops

    def run_here(self) -> None:
        """Work on all inputs in this process.

        Raises:
            KeyboardInterrupt: Ctrl-C, after the input at work was noted as killed.
        """
        for item in self.items():
            began = time.time()
            try:
                try:
                    self._call.keep_item(item)
                    with abrupt_exit_told(item.input):
                        result = run_item(item, listen=self._listen)
                except TurnkeyError as error:  # the cache cannot be written
                    result = Result.failed(item, error)
                    self._listen(result.finished_event)
            except KeyboardInterrupt:
                self._keep(item.number, _interrupted(item, began))
                raise
            self._keep(item.number, result)

    def results(self) -> list[Result]:
        """One per input, in order."""
        reason = "the call stopped before this input"
        return [
            self._results.get(number) or _stopped(source, self._options, "not_started", reason)
            for number, source in enumerate(self._inputs, start=1)
        ]

    def _keep(self, number: int, result: Result) -> None:
        self._results[number] = result
        self._stops = self._stops or (self._options.fail_fast and result.status in FAILED)
        if result.status != SUBMITTED:  # the file is its job's to write
            self._call.keep_result(number, result)


@contextmanager
def _template(
    inputs: list[Input], sequence: Sequence | None, options: Options, call: CallFolder, *, at_work: int
) -> Iterator[Template | None]:
    """A template for prewarmed workers, where they pay; None otherwise, and where no process can be started.

    Args:
        at_work: inputs that have something left to do, counted up to as many as make a template pay.
    """
    kinds = Counter(source.kind for source in inputs)
    if options.fresh or not at_work or at_work < options.prewarm or not hasattr(os, "pidfd_open"):
        yield None
        return
    most_common = kinds.most_common(1)[0][0]
    try:
        template = Template(sequence_for(most_common, sequence).steps, log=call.template_log)
    except InputError:  # each input will meet the same and say it
        yield None
        return
    try:
        yield template
    finally:
        template.close()


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


def _interrupted(item: WorkItem, began: float) -> Result:
    """The result of the input that Ctrl-C met.

    Args:
        began: time of the clock when work on it began. What its build says since then holds: an interruption after
            the last tool does not undo it.
    """
    result = Result.of(item, "killed", reason=INTERRUPTED)
    path = item.paths.state
    try:
        state = load_state(state_path=path)
        is_of_this_run = path.stat().st_mtime >= began
    except (TurnkeyError, OSError):  # interrupted before its first write
        return result
    if not is_of_this_run or state.build_status == "killed":
        return replace(result, state=state)
    return replace(result, state=state, status=state.build_status, reason=str(state.statistics.get("reason", "")))
