"""Put a load shape on one target, in fresh processes, and say what it bears."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from turnkey import host
from turnkey.errors import MeasurementInvalid
from turnkey.measure import journal, load, opening, schedule
from turnkey.measure.budget import Budget
from turnkey.measure.crew import Worker, WorkerLost
from turnkey.measure.host_watch import HostWatch, watch_of
from turnkey.measure.journal import Journal
from turnkey.measure.load import Shape
from turnkey.measure.load_result import LoadResult, Trial, clients_text, trial_of
from turnkey.measure.plan import Settings
from turnkey.measure.process import ProcessWorkers
from turnkey.measure.progress import Listen, Progress
from turnkey.measure.slices import Slice
from turnkey.measure.target import TargetDescription


class LoadWorker(Worker, Protocol):
    """A worker that can also carry a load shape."""

    def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
        """See `turnkey.measure.drive`."""


StartLoadWorker = Callable[..., LoadWorker]


def run_load(
    target: TargetDescription,
    shape: Shape,
    *,
    settings: Settings | None = None,
    path: Path | None = None,
    listen: Listen | None = None,
    workers: StartLoadWorker | None = None,
) -> LoadResult:
    """Load one target as ``shape`` says.

    Args:
        path: of the record (``load.zip``); it grows beside it, and an unfinished one of the same plan is continued
            after its last trial. None keeps nothing.
        listen: told in plain words what happens, never while the target is loaded.
        workers: who starts the workers; None is fresh processes.

    Raises:
        TurnkeyError: the target could not be loaded, or was lost under load.
        MeasurementInvalid: ``settings.strict`` and some reason of validity holds.
        KeyboardInterrupt: passed on after the record was saved and every worker ended.
    """
    chosen = settings or Settings()
    progress = Progress(listen, Budget(math.inf))
    if workers is not None:
        return _LoadExperiment(target, shape, chosen, path, workers, progress).run()
    with tempfile.TemporaryDirectory(prefix="turnkey-logs-") as logs:
        made = ProcessWorkers(
            Path(logs),
            step_timeout_s=chosen.step_timeout_s,
            same_input=chosen.inputs == "same",
            meanwhile=progress.remind,
        )
        watch, notes = watch_of([target])
        for note in notes:
            progress.say(note)
        return _LoadExperiment(target, shape, chosen, path, made, progress, watch=watch).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loaded:
    """A process that is loaded, checked and warm; ``call_ns`` is how long its calls take."""

    worker: LoadWorker
    call_ns: float


class _LoadExperiment:
    """One run of a shape; ``watch`` reads the host around every trial, None where there is none to read."""

    def __init__(
        self,
        target: TargetDescription,
        shape: Shape,
        settings: Settings,
        path: Path | None,
        start: StartLoadWorker,
        progress: Progress,
        *,
        watch: HostWatch | None = None,
    ) -> None:
        self._target = target
        self._shape = shape
        self._settings = settings
        self._start = start
        self._progress = progress
        self._watch = watch
        self._journal = Journal(path)
        self._threads = target.threads or settings.threads or host.fair_threads()

    def run(self) -> LoadResult:
        self._begin()
        run = self._journal.run
        try:
            {"concurrency": self._sweep, "server": self._search, "offline": self._repeat}[self._shape.kind]()
        except WorkerLost as lost:
            raise lost.error from lost
        except KeyboardInterrupt:
            run["state"] = "interrupted"
            self._journal.save()
            raise
        finally:
            self._journal.close()
        run["state"] = "finished"
        result = LoadResult.of(run, self._journal.slices)
        run.update(rate_per_s=result.rate_per_s, validity=[item.to_json() for item in result.reasons])
        self._journal.finish(keep_logs=frozenset())
        if self._settings.strict and result.reasons:
            raise MeasurementInvalid(
                "this load measurement must not be used as it is",
                evidence="\n".join(str(item) for item in result.reasons),
            )
        return result

    @property
    def _trials(self) -> Sequence[Mapping[str, Any]]:
        """Those that are done; each way of loading goes on after them."""
        trials: Sequence[Mapping[str, Any]] = self._journal.run["trials"]
        return trials

    def _begin(self) -> None:
        """A new record, or an unfinished one of the same plan."""
        fresh = {
            **opening.heading(self._settings, is_real=self._watch is not None),
            "shape": {**asdict(self._shape), "clients": list(self._shape.clients)},
            "variants": [{"key": self._target.key, "threads": self._threads, "facts": dict(self._target.facts)}],
            "processes": [],
            "spans": [],
            "trials": [],
        }
        found = opening.unfinished(self._journal, fresh, complete=journal.complete_trials, tell=self._progress.say)
        if found is None:
            self._journal.begin(fresh)
            return
        run, slices = found
        self._journal.resume({**run, "state": "growing"}, slices)
        self._progress.say(f"continuing an unfinished record after {len(self._trials)} trials")

    def _sweep(self) -> None:
        """Closed loops of 1, 2, 4 … clients on one loaded model."""
        levels, done = self._shape.clients, len(self._trials)
        if done == len(levels):
            return
        with self._loaded() as loaded:
            for place, clients in enumerate(levels[done:], done + 1):
                self._progress.begin(f"{clients_text(clients)} ({place} of {len(levels)})")
                found = self._drive(loaded, kind="concurrency", clients=clients, seconds=self._shape.seconds)
                slices = [
                    self._slice(number, took, [start - starts[0] for start in starts], t0=starts[0])
                    for number, (starts, took) in enumerate(zip(found["starts"], found["durations"], strict=True))
                ]
                self._keep(slices, clients=clients)

    def _search(self) -> None:
        """Open loop: the highest rate that keeps the bound, confirmed in fresh processes."""
        tried = [(trial["rate_per_s"], bool(trial["kept"])) for trial in self._trials if not trial["confirms"]]
        if load.next_rate(tried, first=1.0) is not None:  # where to begin, a loaded process tells
            with self._loaded() as loaded:
                first = 0.5e9 / loaded.call_ns
                while (rate := load.next_rate(tried, first=first)) is not None:
                    self._progress.begin(f"{rate:.4g} queries per second")
                    tried.append((rate, self._serve(loaded, rate)))
        for rate in sorted({rate for rate, ok in tried if ok}, reverse=True):
            if self._is_confirmed(rate):
                return

    def _is_confirmed(self, rate: float) -> bool:
        """Whether fresh processes, as many as the shape wants, keep the bound too."""
        done = [trial["kept"] for trial in self._trials if trial["confirms"] and trial["rate_per_s"] == rate]
        if not all(done):
            return False
        for place in range(len(done) + 1, self._shape.rounds + 1):
            self._progress.begin(f"confirming {rate:.4g} queries per second ({place} of {self._shape.rounds})")
            with self._loaded() as loaded:
                if not self._serve(loaded, rate, confirms=True):
                    return False
        return True

    def _serve(self, loaded: _Loaded, rate: float, *, confirms: bool = False) -> bool:
        """Queries at this rate; whether the bound was kept."""
        count = load.queries_for(rate, self._shape)
        offsets = load.arrivals(rate, count, seed=self._settings.seed + len(self._trials))
        threads = self._shape.service_threads
        found = self._drive(loaded, kind="server", offsets=list(offsets), service_threads=threads)
        slices = [self._slice(0, found["latencies"], offsets)]
        trial = self._keep(slices, rate_per_s=rate, late_sends=found["late_sends"], confirms=confirms)
        return bool(trial.kept)

    def _repeat(self) -> None:
        """All samples at once, three fresh processes or more."""
        for place in range(len(self._trials) + 1, self._shape.rounds + 1):
            self._progress.begin(f"all at once ({place} of {self._shape.rounds})")
            with self._loaded() as loaded:
                found = self._drive(loaded, kind="offline", seconds=self._shape.seconds)
                self._keep([self._slice(0, [found["elapsed"]], [0], inner=found["items"])])

    @contextmanager
    def _loaded(self) -> Iterator[_Loaded]:
        """A fresh process, ended on the way out."""
        processes = self._journal.run["processes"]
        round_ = len(processes) + 1
        pad = schedule.pad(seed=self._settings.seed, round_=round_, position=0)
        name = self._target.key
        worker = self._start(self._target, name=name, round_=round_, threads=self._threads, pad=pad)
        try:
            worker.arrive()
            report = worker.load()
            warm = worker.warm(call_ns=report.call_ns, n_warm=0)
            done = {"warm_calls": len(warm.ns), "warm_ns": sum(warm.ns), "settled": warm.settled}
            facts = {"v": name, "attempt": 0, "pad": pad, "threads": self._threads, "lost": None}
            processes.append({**facts, **report.to_json(), **done})
            yield _Loaded(worker=worker, call_ns=warm.steady_ns)
        finally:
            worker.kill()

    def _drive(self, loaded: _Loaded, **what: Any) -> Mapping[str, Any]:
        """Have the load carried, with a look at the host before and after."""
        if self._watch is None:
            return loaded.worker.drive(**what)
        beginning = self._watch.begin()
        found = loaded.worker.drive(**what)
        span = self._watch.end(beginning, workers_ns=found["cpu"])
        self._journal.run["spans"].append(span.to_json())
        return found

    def _slice(self, position: int, ns: Sequence[int], at: Sequence[int], *, t0: int = 0, inner: int = 1) -> Slice:
        return Slice(
            v=self._target.key,
            r=len(self._journal.run["processes"]),
            p=len(self._trials),
            pos=position,
            kind="load",
            t0=t0,
            settle=None,
            ns=tuple(max(1, value) for value in ns),
            at=tuple(at),
            inner=inner,
        )

    def _keep(self, slices: Sequence[Slice], **told: Any) -> Trial:
        """Write a trial down, before the next one begins."""
        trial = trial_of(self._shape, slices, round=len(self._journal.run["processes"]), **told)
        for item in slices:
            self._journal.add(item)
        self._journal.run["trials"].append(asdict(trial))
        self._journal.save()
        return trial
