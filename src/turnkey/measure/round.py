"""One round: its passes of slices, and what the host did meanwhile."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from turnkey import host
from turnkey.errors import TurnkeyError
from turnkey.measure import schedule, validity
from turnkey.measure.budget import Budget
from turnkey.measure.crew import WorkerFactory, WorkerLost
from turnkey.measure.host_watch import Beginning, HostWatch
from turnkey.measure.muster import Member, Muster, RoundReport
from turnkey.measure.plan import Settings
from turnkey.measure.progress import Progress
from turnkey.measure.schedule import SliceSize
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.target import TargetDescription

_RECOVERY_S = 5.0
_RECOVERY_EXPERIMENT_S = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how large a round is.

    Attributes:
        sizes: of the slices, by key.
        passes: how many; with ``exact`` the length of that.
        exact: entries of every pass, where exactly so many calls are asked; None otherwise.
        budget: no further pass starts when it is spent, but for the first; None where all are made.
        wants_more: asked after the last pass: whether another one is to follow.
    """

    sizes: Mapping[str, SliceSize]
    passes: int
    exact: tuple[int, ...] | None = None
    budget: Budget | None = None
    wants_more: Callable[[], bool] | None = None


class Rounds:
    """Runs rounds for an experiment.

    Args:
        descriptions: by key.
        threads: by key.
        workers: starts a worker.
        write: takes every slice.
        progress: is told where a round is, before its processes load and before its slices.
        watch: reads the host around every pass; None where there is no host to read (a simulation).
    """

    def __init__(
        self,
        *,
        descriptions: Mapping[str, TargetDescription],
        threads: Mapping[str, int],
        settings: Settings,
        workers: WorkerFactory,
        write: Callable[[Slice], None],
        progress: Progress,
        watch: HostWatch | None,
    ) -> None:
        self._watch = watch
        self._joules = None if watch is None else watch.joules
        self._settings = settings
        self._write = write
        self._progress = progress
        self._recovered_s = 0.0
        self._muster = Muster(
            descriptions=descriptions,
            threads=threads,
            workers=workers,
            write=write,
            seed=settings.seed,
            at_once=len(host.affinity_cpus()),
            free_bytes=None if watch is None or watch.in_process else host.available_memory_bytes,
        )

    def gather(self, keys: Sequence[str]) -> RoundReport:
        """Let the processes that are going to be calibrated import side by side; they sleep until their turn."""
        report = RoundReport(number=0)
        self._gather(keys, report)
        return report

    def calibrate(self, key: str, report: RoundReport) -> tuple[dict[str, Any], Slice | None, TurnkeyError | None]:
        """Load a variant in a process of its own, find its calls to steady, then its peak memory.

        Args:
            report: of `gather`.

        Returns:
            Its facts, its calls, and the error if it was lost twice.
        """
        error: TurnkeyError | None = None
        for attempt in (0, 1):
            is_gone = attempt == 0 and key in report.lost  # it was lost while it imported
            member = None if is_gone else self._muster.load(key, report, attempt=attempt)
            if member is None:
                error = report.lost[key]
                if report.last(key)["lost"]["final"]:
                    break
                continue
            try:
                t0 = time.monotonic_ns()
                found = member.worker.calibrate(call_ns=member.call_ns)
                facts = {
                    **member.facts,
                    "n_warm": found.n_warm,
                    "settled": found.settled,
                    "warm_calls": len(found.ns),
                    "warm_ns": sum(found.ns),
                    "call_ns": found.steady_ns,
                    "peak_bytes": member.worker.peak_memory(),
                    "notes": [*member.facts["notes"], *(["warm-up-untested"] if found.untested else [])],
                }
                item = Slice(
                    v=key, r=0, p=-1, pos=0, kind="calibration", t0=t0, settle=None, ns=found.ns, attempt=attempt
                )
                return facts, item, None
            except WorkerLost as lost:
                error = self._muster.lose(member, report, lost)
            finally:
                self._muster.dismiss(key)
        return report.last(key), None, error

    def run(
        self,
        number: int,
        names: Sequence[str],
        *,
        n_warm: Mapping[str, int],
        bounds: Callable[[Mapping[str, float]], Bounds],
        first_pass: int,
    ) -> RoundReport:
        """One round of ``names`` (twins with their suffix).

        Args:
            n_warm: calls to steady by key.
            bounds: from the call durations seen while warming (nanoseconds by key) to the round's size.
            first_pass: index of its first pass, counted through all rounds.

        Returns:
            What it left; without a pass, and ``crowded``, where its processes do not fit into memory together.
        """
        report = RoundReport(number=number)
        try:
            order = schedule.load_order(names, seed=self._settings.seed, round_=number)
            self._gather(order, report)
            for place, name in enumerate(order, 1):
                self._progress.reach(f"loading and warming {name} ({place} of {len(order)})")
                self._muster.enter(name, report, n_warm)
                if report.crowded:
                    return report
            calls = {name.removesuffix(TWIN_SUFFIX): member.call_ns for name, member in self._muster.members.items()}
            if calls:
                self._passes(report, bounds(calls), n_warm, first_pass)
            self._muster.close()
        finally:
            self.end()
        return report

    def end(self) -> None:
        """End every process that is left."""
        self._muster.end()

    def _gather(self, names: Sequence[str], report: RoundReport) -> None:
        self._progress.reach("starting processes")
        self._muster.gather(names, report)

    def _passes(self, report: RoundReport, bounds: Bounds, n_warm: Mapping[str, int], first_pass: int) -> None:
        for number in itertools.count():
            if number >= bounds.passes and (bounds.wants_more is None or not bounds.wants_more()):
                break
            if number and bounds.budget is not None and bounds.budget.is_spent:
                break
            present = sorted(self._muster.members)
            if not present:
                break
            self._progress.reach_pass(number, bounds.passes, is_bounded=bounds.budget is not None)
            index = first_pass + number
            beginning = None if self._watch is None else self._watch.begin()
            written: list[Slice] = []
            for position, name in enumerate(schedule.order(present, seed=self._settings.seed, index=index)):
                self._progress.remind()  # of calls that take seconds a pass takes minutes
                size = bounds.sizes[name.removesuffix(TWIN_SUFFIX)]
                if bounds.exact is not None:
                    size = SliceSize(entries=bounds.exact[number])
                item = self._slice(report, name, size, number, position, n_warm)
                if item is not None:
                    written.append(item)
            report.passes += 1
            flags = self._close_pass(report, beginning, written)
            for item in written:
                self._write(replace(item, flags=flags) if flags else item)
            report.slices += len(written)

    def _slice(
        self, report: RoundReport, name: str, size: SliceSize, number: int, position: int, n_warm: Mapping[str, int]
    ) -> Slice | None:
        while True:
            member = self._muster.members.get(name)
            if member is None:
                return None
            try:
                energy = self._joules() if self._joules else None
                member.worker.wake()
                done = member.worker.slice(entries=size.entries, inner=size.inner)
                member.worker.sleep()
                self._note_energy(member, energy, size)
            except WorkerLost as lost:
                self._muster.lose(member, report, lost)
                if member.attempt or lost.final:
                    return None
                self._muster.enter(name, report, n_warm, attempt=1)
                continue
            return Slice(
                v=name,
                r=report.number,
                p=number,
                pos=position,
                kind="timed",
                t0=done.t0,
                settle=done.settle,
                ns=done.ns,
                inner=size.inner,
                cpu=done.cpu,
                switches=done.switches,
                mhz=done.mhz,
                device={part: tuple(times) for part, times in done.device.items()},
                attempt=member.attempt,
            )

    def _note_energy(self, member: Member, before: float | None, size: SliceSize) -> None:
        """Energy of the whole package over the slice and its settling call; peers slept meanwhile."""
        after = self._joules() if self._joules and before is not None else None
        if before is None or after is None or after < before:  # a counter that wrapped says nothing
            return
        member.facts["joules"] = member.facts.get("joules", 0.0) + after - before
        member.facts["joules_calls"] = member.facts.get("joules_calls", 0) + size.entries * size.inner + 1

    def _close_pass(
        self, report: RoundReport, beginning: Beginning | None, written: Sequence[Slice]
    ) -> tuple[str, ...]:
        """Read the host again; a disturbed pass is kept, flagged, and followed by a short wait."""
        if self._watch is None or beginning is None:
            return ()
        span = self._watch.end(beginning, workers_ns=sum(item.cpu or 0 for item in written))
        disturbed = validity.is_disturbed(span, report.spans)
        report.spans.append(span)
        if not disturbed:
            return ()
        wait = min(_RECOVERY_S, span.seconds, _RECOVERY_EXPERIMENT_S - self._recovered_s)
        if wait > 0:
            self._recovered_s += wait
            time.sleep(wait)
        return ("disturbed",)
