"""Workers that are no processes: targets that exist only here. Nothing sleeps, nothing is replicated; flagged."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping
from typing import TypeVar

from turnkey.errors import ModelError, TurnkeyError
from turnkey.measure.bench import Bench
from turnkey.measure.crew import LoadReport, SliceReport, WorkerLost
from turnkey.measure.target import Target, TargetDescription
from turnkey.measure.warmup import WarmUp

T = TypeVar("T")


class InProcessWorkers:
    """Factory over targets made by the caller."""

    def __init__(self, targets: Mapping[str, Target], *, same_input: bool) -> None:
        self._targets = targets
        self._same_input = same_input

    def __call__(
        self, description: TargetDescription, *, name: str, round_: int, threads: int, pad: int
    ) -> InProcessWorker:
        target = self._targets[description.key]
        return InProcessWorker(Bench(lambda: target, same_input=self._same_input))


class InProcessWorker:
    """One target under the engine's commands, in this process; a crash of it is a crash of ours."""

    can_sleep = True  # nothing runs between slices: there is nothing to stop

    def __init__(self, bench: Bench) -> None:
        self._bench = bench
        self._tail = ""

    def arrive(self) -> None:
        self._try(self._bench.arrive)

    def load(self) -> LoadReport:
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
        """Leave the target to its owner, who made it."""

    def log_tail(self) -> str:
        return self._tail

    def _try(self, step: Callable[[], T]) -> T:
        try:
            return step()
        except TurnkeyError as error:
            raise WorkerLost("raised", error, final=True) from error
        except Exception as error:
            self._tail = traceback.format_exc(limit=-3)
            what = f"{type(error).__name__}: {error}"
            raise WorkerLost("raised", ModelError(what, evidence=self._tail), final=True) from error
