"""Measuring targets that exist only in this process: nothing sleeps, nothing is replicated, and the record says so."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from turnkey.errors import ModelError, TurnkeyError
from turnkey.measure import opening
from turnkey.measure.bench import Bench
from turnkey.measure.budget import Budget
from turnkey.measure.crew import LoadReport, SliceReport, WorkerLost
from turnkey.measure.experiment import Experiment
from turnkey.measure.host_watch import HostWatch
from turnkey.measure.plan import Settings
from turnkey.measure.progress import Listen, Progress
from turnkey.measure.record import Record
from turnkey.measure.target import Target, TargetDescription
from turnkey.measure.warmup import WarmUp

T = TypeVar("T")


def run_in_process(
    targets: Mapping[str, Target],
    *,
    reference: str | None = None,
    settings: Settings | None = None,
    path: Path | None = None,
    listen: Listen | None = None,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
) -> Record:
    """Measure live targets: slices interleaved here, verdicts as in ``quick``, ``replication: none`` in the record.

    Afterwards, also after an error, all that were loaded are closed, the last one first: each gives back what it
    found, such as the number of threads that the one before it had set.

    Arguments and errors as in `run_experiment`.
    """
    chosen = replace(settings or Settings(), effort="quick")
    descriptions = [
        TargetDescription(key=key, factory="in:process", facts=(facts or {}).get(key, {})) for key in targets
    ]
    opening.check(descriptions, reference)
    workers = InProcessWorkers(targets, same_input=chosen.inputs == "same")
    notes = ("replication: none (the model exists only in this process)",)
    budget = Budget(chosen.budget)
    progress = Progress(listen, budget)
    watch = HostWatch(in_process=True)
    try:
        return Experiment(
            descriptions, reference, chosen, path, workers, budget, progress, watch=watch, notes=notes
        ).run()
    finally:
        workers.close()


class InProcessWorkers:
    """Factory over targets made by the caller."""

    def __init__(self, targets: Mapping[str, Target], *, same_input: bool) -> None:
        self._targets = targets
        self._same_input = same_input
        self._closing = ExitStack()

    def __call__(
        self, description: TargetDescription, *, name: str, round_: int, threads: int, pad: int
    ) -> InProcessWorker:
        target = self._targets[description.key]
        bench = Bench(lambda: target, same_input=self._same_input)
        return InProcessWorker(bench, before_load=lambda: self._closing.callback(target.close))

    def close(self) -> None:
        """Close what was loaded, or was to be, the last one first."""
        self._closing.close()


class InProcessWorker:
    """One target under the engine's commands, in this process; a crash of it is a crash of ours."""

    can_sleep = True  # nothing runs between slices: there is nothing to stop

    def __init__(self, bench: Bench, *, before_load: Callable[[], object]) -> None:
        self._bench = bench
        self._before_load = before_load

    def arrive(self) -> None:
        self._try(self._bench.arrive)

    def load(self) -> LoadReport:
        self._before_load()
        return self._try(self._bench.load)

    def calibrate(self, *, call_ns: float) -> WarmUp:
        return self._try(lambda: self._bench.calibrate(call_ns=call_ns))

    def warm(self, *, call_ns: float, n_warm: int) -> WarmUp:
        return self._try(lambda: self._bench.warm(call_ns=call_ns, n_warm=n_warm, freeze=False))

    def slice(self, *, entries: int, inner: int) -> SliceReport:
        return self._try(lambda: self._bench.slice(entries=entries, inner=inner))

    def sleep(self) -> None:
        return None

    def wake(self) -> None:
        return None

    def peak_memory(self) -> int | None:
        """None: the peak of this process is not the target's."""
        return None

    def kill(self) -> None:
        """Leave the target until all are closed."""

    def _try(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except TurnkeyError as error:
            raise WorkerLost("raised", error, final=True) from error
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            evidence = traceback.format_exc(limit=-3)
            raise WorkerLost("raised", ModelError(what, evidence=evidence), final=True) from error
