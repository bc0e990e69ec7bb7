"""The processes of a round: started, loaded, verified, warmed, replaced once if lost, and always ended.

Whatever a worker does (crash, hang, nonsense), the others stay; the round's report says what happened.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from turnkey.errors import ModelError, TurnkeyError
from turnkey.measure import environment, schedule
from turnkey.measure.crew import Worker, WorkerFactory, WorkerLost
from turnkey.measure.slices import TWIN_SUFFIX, Slice
from turnkey.measure.target import TargetDescription

_LEAST_FREE = 0.1
"""Share of the memory that was free at first which must stay free."""


@dataclass(slots=True, kw_only=True)
class Member:
    """One process of a round."""

    name: str
    worker: Worker
    attempt: int
    facts: dict[str, Any]
    call_ns: float


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
    crowded: str = ""
    """Name of the process that did not fit into memory beside the others: the round is repeated with fewer."""

    def last(self, name: str) -> dict[str, Any]:
        """The newest process of that name."""
        return next(process for process in reversed(self.processes) if process["v"] == name)

    def to_json(self, **more: Any) -> dict[str, Any]:
        return {
            "r": self.number,
            **more,
            "slices": self.slices,
            "passes": self.passes,
            "processes": self.processes,
            "spans": [span.to_json() for span in self.spans],
        }


class Muster:
    """Who is present, and how they came.

    Args:
        descriptions, threads: by key.
        workers: starts a worker.
        write: takes the warm-up of every process.
        seed: of the random pads.
        at_once: how many may import side by side; one more waits for a core, so that none idles.
        free_bytes: memory that is free now; None where it does not matter (a simulation).
    """

    def __init__(
        self,
        *,
        descriptions: Mapping[str, TargetDescription],
        threads: Mapping[str, int],
        workers: WorkerFactory,
        write: Callable[[Slice], None],
        seed: int,
        at_once: int,
        free_bytes: Callable[[], int] | None = None,
    ) -> None:
        self._free_bytes = free_bytes
        self._least_bytes = 0.0 if free_bytes is None else _LEAST_FREE * free_bytes()
        self._descriptions = descriptions
        self._threads = threads
        self._workers = workers
        self._write = write
        self._seed = seed
        self._at_once = max(1, at_once)
        self._import_ns: dict[str, int] = {}
        self.members: dict[str, Member] = {}

    def gather(self, names: Sequence[str], report: RoundReport) -> None:
        """Start the processes and let them import, a few at a time; each then sleeps until it is its turn to load.

        Importing is no part of loading and nothing is timed yet, so the cores may be shared here and only here. What
        took longest to import before starts first, so that no core waits for it at the end.
        """
        importing: list[Member] = []

        def settle() -> None:
            member = importing.pop(0)
            if self._arrive(member, report):
                member.worker.sleep()

        for name in sorted(names, key=lambda name: -self._import_ns.get(name.removesuffix(TWIN_SUFFIX), 0)):
            if len(importing) > self._at_once:
                settle()
            member = self._start(name, report, attempt=0)
            if member is not None:
                importing.append(member)
        while importing:
            settle()

    def enter(self, name: str, report: RoundReport, n_warm: Mapping[str, int], *, attempt: int = 0) -> None:
        """Load, verify, warm, stop; a second try, with a new process, after a loss that may be chance."""
        for turn in range(attempt, 2):
            member = self.members.get(name)
            if member is None and turn == 0:  # lost while it imported
                if report.last(name)["lost"]["final"]:
                    return
                continue
            if member is None:
                member = self._start(name, report, turn)
                if member is None or not self._arrive(member, report):
                    return
            if not self._has_room(member, report):
                return
            if self._load(member, report) and self._warm(member, report, n_warm):
                report.lost.pop(name, None)
                return
            if member.facts["lost"]["final"]:
                return

    def _has_room(self, member: Member, report: RoundReport) -> bool:
        """Refuse to load what would drive the machine out of memory: the kernel might end any process, ours too."""
        if self._free_bytes is None or self._loaded_beside(member) == 0 or self._free_bytes() > self._least_bytes:
            return True
        error = ModelError(
            "it does not fit into memory beside the others",
            evidence=f"{self._free_bytes() / 2**20:,.0f} MiB are free with {self._loaded_beside(member)} loaded",
            remedy="more memory, or fewer variants at a time",
        )
        self.lose(member, report, WorkerLost("crowded", error, final=True))
        report.crowded = member.name
        return False

    def _loaded_beside(self, member: Member) -> int:
        return sum(other is not member and other.facts["load_ns"] is not None for other in self.members.values())

    def load(self, name: str, report: RoundReport, *, attempt: int) -> Member | None:
        """Load one process now, started here unless it was gathered; None if it was lost."""
        member = self.members.get(name)
        if member is None:
            member = self._start(name, report, attempt)
            if member is None or not self._arrive(member, report):
                return None
        return member if self._load(member, report) else None

    def lose(self, member: Member, report: RoundReport, lost: WorkerLost) -> TurnkeyError:
        """Note why a process was lost, and end what is left of it."""
        member.facts["lost"] = {"cause": lost.cause, "final": lost.final, **lost.error.to_dict()}
        report.lost[member.name] = lost.error
        self.dismiss(member.name)
        return lost.error

    def close(self) -> None:
        """Ask every process for its peak memory and end it; one that is lost now has done its work."""
        for name, member in list(self.members.items()):
            member.worker.wake()
            try:
                member.facts["peak_bytes"] = member.worker.peak_memory()
            except WorkerLost:
                member.facts["peak_bytes"] = None
            self.dismiss(name)

    def dismiss(self, name: str) -> None:
        """End one process."""
        member = self.members.pop(name, None)
        if member is not None:
            member.worker.kill()

    def end(self) -> None:
        """End every process that is left."""
        for name in list(self.members):
            self.dismiss(name)

    def _warm(self, member: Member, report: RoundReport, n_warm: Mapping[str, int]) -> bool:
        t0 = time.monotonic_ns()
        try:
            done = member.worker.warm(
                call_ns=member.call_ns, n_warm=n_warm.get(member.name.removesuffix(TWIN_SUFFIX), 0)
            )
        except WorkerLost as lost:
            self.lose(member, report, lost)
            return False
        member.call_ns = done.steady_ns
        member.facts.update(warm_calls=len(done.ns), warm_ns=sum(done.ns), settled=done.settled)
        if done.untested:
            member.facts["notes"].append("warm-up-untested")
        self._write(
            Slice(
                v=member.name,
                r=report.number,
                p=-1,
                pos=len(self.members) - 1,
                kind="warm",
                t0=t0,
                settle=None,
                ns=done.ns,
                attempt=member.attempt,
            )
        )
        report.slices += 1
        member.worker.sleep()
        return True

    def _start(self, name: str, report: RoundReport, attempt: int) -> Member | None:
        key = name.removesuffix(TWIN_SUFFIX)
        pad = schedule.pad(seed=self._seed, round_=report.number, position=len(report.processes))
        facts: dict[str, Any] = {"v": name, "attempt": attempt, "pad": pad, "threads": self._threads[key]}
        facts |= {"load_ns": None, "notes": [], "lost": None}
        report.processes.append(facts)
        try:
            worker = self._workers(
                self._descriptions[key], name=name, round_=report.number, threads=self._threads[key], pad=pad
            )
        except WorkerLost as lost:
            facts["lost"] = {"cause": lost.cause, "final": lost.final, **lost.error.to_dict()}
            report.lost[name] = lost.error
            return None
        member = Member(name=name, worker=worker, attempt=attempt, facts=facts, call_ns=0.0)
        self.members[name] = member
        return member

    def _arrive(self, member: Member, report: RoundReport) -> bool:
        try:
            member.worker.arrive()
        except WorkerLost as lost:
            self.lose(member, report, lost)
            return False
        return True

    def _load(self, member: Member, report: RoundReport) -> bool:
        try:
            member.worker.wake()
            loaded = member.worker.load()
        except WorkerLost as lost:
            self.lose(member, report, lost)
            return False
        member.facts.update(loaded.to_json())
        self._import_ns[member.name.removesuffix(TWIN_SUFFIX)] = loaded.import_ns
        if not member.worker.can_sleep:
            member.facts["notes"].append("peers-not-stopped: idle workers wait in a blocking read")
        member.call_ns = loaded.call_ns
        return True
