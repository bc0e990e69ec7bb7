"""The caller's own judgement of a runner: a function over all outputs, in the dataloader's order."""

from __future__ import annotations

import time
from collections.abc import Iterator

import numpy as np

from turnkey.host import fair_threads
from turnkey.model.samples import Sample
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.dataloader import VerifyFunction
from turnkey.navigator.journal import Journal
from turnkey.navigator.output_names import under_names
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.runner_adapter import runtime_of
from turnkey.navigator.runner_table import RunnerKind
from turnkey.navigator.status import CORRECTNESS, PERFORMANCE, VERIFY, CommandStatus


def judge_runner(function: VerifyFunction, key: str, kind: RunnerKind, prepared: Prepared, journal: Journal) -> None:
    """Ask the function about one runner of a model. Its end stands in the journal.

    It is asked in every run: nothing tells whether the function is the one of an earlier run.
    """
    runner = journal.runner(key, kind)
    if runner.ended(CORRECTNESS) is not CommandStatus.OK or runner.ended(PERFORMANCE) is not CommandStatus.OK:
        reason = "Correctness and Performance must be OK"
        journal.end_runner(key, kind, VERIFY, CommandStatus.SKIPPED, reason=reason)
        return
    started = time.perf_counter()
    contestant = Contestant.of(journal.status.models[key], kind, journal.workspace)
    reason = verify_runner(function, contestant, prepared, threads=runner.threads)
    status = CommandStatus.FAIL if reason else CommandStatus.OK
    journal.end_runner(key, kind, VERIFY, status, reason=reason, started=started)


def verify_runner(
    function: VerifyFunction, contestant: Contestant, prepared: Prepared, *, threads: int | None = None
) -> str:
    """Why the function refuses a runner; empty if it accepts it.

    The source's outputs are computed (or taken from what was stored) first, so that never two models are loaded. Where
    no source is attached, the samples with stored outputs are what it judges.

    Args:
        threads: of the runner; None is the cores that this process may use.
    """
    pairs = [
        (sample, prepared.outputs[index] if index in prepared.outputs else prepared.source.outputs(sample))
        for index, sample in enumerate(prepared.samples)
        if index in prepared.outputs or prepared.source.can_run
    ]
    samples, references = [sample for sample, _ in pairs], [reference for _, reference in pairs]
    request = contestant.request(prepared.source, threads=threads or fair_threads())
    names = [spec.name for spec in prepared.metadata.outputs]

    def outputs() -> Iterator[Sample]:
        runner = runtime_of(contestant.kind.runtime, place=contestant.kind.place).load(request)
        try:
            for sample in samples:
                yield under_names(names, runner.outputs(runner.run(runner.prepare(sample))))
        finally:
            runner.close()

    try:
        answer = function(list(outputs()), references)
    except Exception as error:  # noqa: BLE001 - the caller's function may raise anything: that is its answer
        return f"the verify function raised {type(error).__name__}: {error}"
    if isinstance(answer, bool | np.bool_):
        return "" if answer else "the verify function returned False"
    return f"the verify function returned {answer!r}, neither True nor False"
