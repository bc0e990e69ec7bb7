"""One round: fresh processes, loaded one after another, warmed, timed in turn, ended. spec/measuring.md §4 and §6.

Whatever a worker does (crash, hang, nonsense), the others' round goes on: a lost worker is replaced once, and the
round's report says what happened.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.measure import environment, schedule, validity
from turnkey.measure.crew import LoadReport, Worker, WorkerFactory, WorkerLost
from turnkey.measure.environment import Pulse
from turnkey.measure.plan import Settings
from turnkey.measure.schedule import SliceSize
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.target import TargetDescription

_RECOVERY_S = 5.0
_RECOVERY_EXPERIMENT_S = 60.0


@dataclass(slots=True, kw_only=True)
class Member:
    """One process of a round."""

    name: str
    worker: Worker
    attempt: int
    facts: dict[str, Any]
    call_ns: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How long and how large a round is.

    Attributes:
        sizes: of the slices, by key.
        passes: how many; with ``exact`` the length of that.
        exact: entries of every pass, where exactly so many calls are asked; None otherwise.
        deadline: monotonic seconds after which no further pass starts; None without one.
        wants_more: asked after the last pass: whether another one is to follow.
    """

    sizes: Mapping[str, SliceSize]
    passes: int
    exact: tuple[int, ...] | None = None
    deadline: float | None = None
    wants_more: Callable[[], bool] | None = None


@dataclass(slots=True, kw_only=True)
class RoundReport:
    """What a round leaves behind besides its slices; becomes an entry of ``rounds`` in ``run.json``."""

    number: int
    processes: list[dict[str, Any]] = field(default_factory=list)
    spans: list[environment.Span] = field(default_factory=list)
    slices: int = 0
    passes: int = 0
    lost: dict[str, TurnkeyError] = field(default_factory=dict)
    """Names whose worker was lost for good, with the last error."""

    def to_json(self, **more: Any) -> dict[str, Any]:
        return {
            "r": self.number,
            **more,
            "slices": self.slices,
            "passes": self.passes,
            "processes": self.processes,
            "spans": [span.to_json() for span in self.spans],
        }


class Rounds:
    """Runs rounds for an experiment.

    Args:
        descriptions: by key.
        threads: by key.
        workers: starts a worker.
        write: takes every slice.
        pulse: reads the host; None where there is no host to read (a simulation).
        cpus: how many CPUs are ours.
        joules: energy counter of the processor packages; None where there is none.
    """

    def __init__(
        self,
        *,
        descriptions: Mapping[str, TargetDescription],
        threads: Mapping[str, int],
        settings: Settings,
        workers: WorkerFactory,
        write: Callable[[Slice], None],
        pulse: Callable[[], Pulse] | None,
        cpus: int,
        joules: Callable[[], float | None] | None = None,
    ) -> None:
        self._joules = joules
        self._descriptions = descriptions
        self._threads = threads
        self._settings = settings
        self._workers = workers
        self._write = write
        self._pulse = pulse
        self._cpus = cpus
        self._recovered_s = 0.0
        self.members: dict[str, Member] = {}

    def calibrate(self, key: str) -> tuple[dict[str, Any], Slice | None, TurnkeyError | None]:
        """Load a variant in a process of its own, find its calls to steady, then its peak memory.

        Returns:
            Its facts, its calls, and the error if it was lost twice.
        """
        report = RoundReport(number=0)
        error: TurnkeyError | None = None
        for attempt in (0, 1):
            member = self._start(key, report, attempt)
            if member is None or not self._arrive(member, report) or not self._load(member, report):
                error = report.lost[key]
                if report.processes[-1]["lost"]["final"]:
                    break
                continue
            try:
                t0 = time.monotonic_ns()
                found = member.worker.calibrate(call_ns=member.call_ns)
                third = sorted(found.ns[2 * len(found.ns) // 3 :])
                facts = {
                    **member.facts,
                    "n_warm": found.n_warm,
                    "settled": found.settled,
                    "warm_calls": len(found.ns),
                    "warm_ns": sum(found.ns),
                    "call_ns": float(third[len(third) // 2]),
                    "peak_bytes": member.worker.peak_memory(),
                    "notes": [*member.facts["notes"], *(["warm-up-untested"] if found.untested else [])],
                }
                item = Slice(
                    v=key, r=0, p=-1, pos=0, kind="calibration", t0=t0, settle=None, ns=found.ns, attempt=attempt
                )
                return facts, item, None
            except WorkerLost as lost:
                error = self._note_loss(report, member, lost)
            finally:
                self._dismiss(key)
        return report.processes[-1], None, error

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
        """
        report = RoundReport(number=number)
        try:
            order = schedule.load_order(names, seed=self._settings.seed, round_=number)
            self._gather(order, report)
            for name in order:
                self._enter(name, report, n_warm, attempt=0)
            calls = {name.removesuffix(TWIN_SUFFIX): member.call_ns for name, member in self.members.items()}
            if calls:
                self._passes(report, bounds(calls), n_warm, first_pass)
            for name, member in list(self.members.items()):
                member.worker.wake()
                try:
                    member.facts["peak_bytes"] = member.worker.peak_memory()
                except WorkerLost as lost:
                    self._note_loss(report, member, lost)
                self._dismiss(name)
        finally:
            self.end()
        return report

    def end(self) -> None:
        """End every process that is left."""
        for name in list(self.members):
            self._dismiss(name)

    def _passes(self, report: RoundReport, bounds: Bounds, n_warm: Mapping[str, int], first_pass: int) -> None:
        for number in itertools.count():
            if number >= bounds.passes and (bounds.wants_more is None or not bounds.wants_more()):
                break
            if number and bounds.deadline is not None and time.monotonic() > bounds.deadline:
                break
            present = sorted(self.members)
            if not present:
                break
            index = first_pass + number
            before, ours = self._read_host()
            written: list[Slice] = []
            for position, name in enumerate(schedule.order(present, seed=self._settings.seed, index=index)):
                size = bounds.sizes[name.removesuffix(TWIN_SUFFIX)]
                if bounds.exact is not None:
                    size = SliceSize(entries=bounds.exact[number])
                item = self._slice(report, name, size, number, position, n_warm)
                if item is not None:
                    written.append(item)
            report.passes += 1
            flags = self._close_pass(report, before, ours, written)
            for item in written:
                self._write(item if not flags else _flagged(item, flags))
            report.slices += len(written)

    def _slice(
        self, report: RoundReport, name: str, size: SliceSize, number: int, position: int, n_warm: Mapping[str, int]
    ) -> Slice | None:
        while True:
            member = self.members.get(name)
            if member is None:
                return None
            try:
                energy = self._joules() if self._joules else None
                member.worker.wake()
                done = member.worker.slice(entries=size.entries, inner=size.inner)
                member.worker.sleep()
                self._note_energy(member, energy, size)
            except WorkerLost as lost:
                self._note_loss(report, member, lost)
                self._dismiss(name)
                if member.attempt or lost.final:
                    return None
                self._enter(name, report, n_warm, attempt=1)
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
                attempt=member.attempt,
            )

    def _note_energy(self, member: Member, before: float | None, size: SliceSize) -> None:
        """Energy of the whole package over the slice and its settling call; peers slept meanwhile."""
        after = self._joules() if self._joules and before is not None else None
        if before is None or after is None or after < before:  # a counter that wrapped says nothing
            return
        member.facts["joules"] = member.facts.get("joules", 0.0) + after - before
        member.facts["joules_calls"] = member.facts.get("joules_calls", 0) + size.entries * size.inner + 1

    def _gather(self, names: Sequence[str], report: RoundReport) -> None:
        """Start the processes and let them import, a few at a time; each then sleeps until it is its turn to load.

        Importing is no part of loading and nothing is timed yet, so the cores may be shared here and only here.
        """
        step = max(1, self._cpus)
        for first in range(0, len(names), step):
            batch = names[first : first + step]
            started = [member for name in batch if (member := self._start(name, report, attempt=0))]
            for member in started:
                if self._arrive(member, report):
                    member.worker.sleep()

    def _enter(self, name: str, report: RoundReport, n_warm: Mapping[str, int], *, attempt: int) -> None:
        """Load, verify, warm, stop; a second try, with a new process, after a loss that may be chance."""
        member = self.members.get(name)
        if member is None and (attempt or name in report.lost):
            if attempt == 0:
                if _last(report, name)["lost"]["final"]:
                    return
                attempt = 1
            member = self._start(name, report, attempt)
            if member is not None and not self._arrive(member, report):
                member = None
        if member is None:
            return
        if not self._load(member, report):
            if not attempt and not member.facts["lost"]["final"]:
                self._enter(name, report, n_warm, attempt=1)
            return
        key = name.removesuffix(TWIN_SUFFIX)
        try:
            t0 = time.monotonic_ns()
            done = member.worker.warm(call_ns=member.call_ns, n_warm=n_warm.get(key, 0))
        except WorkerLost as lost:
            self._note_loss(report, member, lost)
            self._dismiss(name)
            if not attempt and not lost.final:
                self._enter(name, report, n_warm, attempt=1)
            return
        tail = sorted(done.ns[2 * len(done.ns) // 3 :])
        member.call_ns = float(tail[len(tail) // 2])
        member.facts.update(warm_calls=len(done.ns), warm_ns=sum(done.ns), settled=done.settled)
        if done.untested:
            member.facts["notes"].append("warm-up-untested")
        report.lost.pop(name, None)
        item = Slice(
            v=name,
            r=report.number,
            p=-1,
            pos=len(self.members) - 1,
            kind="warm",
            t0=t0,
            settle=None,
            ns=done.ns,
            attempt=attempt,
        )
        self._write(item)
        report.slices += 1
        member.worker.sleep()

    def _start(self, name: str, report: RoundReport, attempt: int) -> Member | None:
        key = name.removesuffix(TWIN_SUFFIX)
        pad = schedule.pad(seed=self._settings.seed, round_=report.number, position=len(report.processes))
        facts: dict[str, Any] = {"v": name, "attempt": attempt, "pad": pad, "threads": self._threads[key]}
        facts |= {"load_ns": None, "notes": [], "lost": None}
        report.processes.append(facts)
        try:
            worker = self._workers(
                self._descriptions[key], name=name, round_=report.number, threads=self._threads[key], pad=pad
            )
        except WorkerLost as lost:
            facts["lost"] = _loss(lost)
            report.lost[name] = lost.error
            return None
        member = Member(name=name, worker=worker, attempt=attempt, facts=facts, call_ns=0.0)
        self.members[name] = member
        return member

    def _arrive(self, member: Member, report: RoundReport) -> bool:
        try:
            member.worker.arrive()
        except WorkerLost as lost:
            self._note_loss(report, member, lost)
            self._dismiss(member.name)
            return False
        return True

    def _load(self, member: Member, report: RoundReport) -> bool:
        try:
            member.worker.wake()
            loaded = member.worker.load()
        except WorkerLost as lost:
            self._note_loss(report, member, lost)
            self._dismiss(member.name)
            return False
        member.facts.update(_loaded(loaded))
        if not member.worker.can_sleep:
            member.facts["notes"].append("peers-not-stopped: idle workers wait in a blocking read")
        member.call_ns = loaded.call_ns
        return True

    def _note_loss(self, report: RoundReport, member: Member, lost: WorkerLost) -> TurnkeyError:
        member.facts["lost"] = _loss(lost)
        report.lost[member.name] = lost.error
        return lost.error

    def _dismiss(self, name: str) -> None:
        member = self.members.pop(name, None)
        if member is not None:
            member.worker.kill()

    def _read_host(self) -> tuple[Pulse | None, float]:
        return (None, 0.0) if self._pulse is None else (self._pulse(), time.process_time())

    def _close_pass(
        self, report: RoundReport, before: Pulse | None, ours: float, written: Sequence[Slice]
    ) -> tuple[str, ...]:
        """Read the host again; a disturbed pass is kept, flagged, and followed by a short wait."""
        if self._pulse is None or before is None:
            return ()
        used = sum(item.cpu or 0 for item in written) / 1e9 + time.process_time() - ours
        span = environment.span(before, self._pulse(), ours_s=used, cpus=self._cpus)
        disturbed = validity.is_disturbed(span, report.spans)
        report.spans.append(span)
        if not disturbed:
            return ()
        wait = min(_RECOVERY_S, span.seconds, _RECOVERY_EXPERIMENT_S - self._recovered_s)
        if wait > 0:
            self._recovered_s += wait
            time.sleep(wait)
        return ("disturbed",)


def _last(report: RoundReport, name: str) -> dict[str, Any]:
    """The newest process of that name."""
    return next(process for process in reversed(report.processes) if process["v"] == name)


def _loaded(report: LoadReport) -> dict[str, Any]:
    return {
        "import_ns": report.import_ns,
        "load_ns": report.load_ns,
        "compile_ns": report.compile_ns,
        "first_ns": report.first_ns,
        "call_ns": report.call_ns,
        "samples": report.samples,
        "wrong": report.wrong,
        "facts": dict(report.facts),
        "memory": dict(report.memory),
        "notes": list(report.notes),
    }


def _loss(lost: WorkerLost) -> dict[str, Any]:
    return {"cause": lost.cause, "final": lost.final, **lost.error.to_dict()}


def _flagged(item: Slice, flags: tuple[str, ...]) -> Slice:
    from dataclasses import replace

    return replace(item, flags=flags)
