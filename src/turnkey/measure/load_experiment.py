"""Put a load shape on one target, in fresh processes, and say what it bears. spec/measuring.md §12."""

from __future__ import annotations

import math
import statistics as plain
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol

from turnkey import host
from turnkey.errors import ArtifactError, MeasurementInvalid
from turnkey.measure import environment, journal, load, schedule, validity
from turnkey.measure.crew import Worker, WorkerLost
from turnkey.measure.journal import Journal
from turnkey.measure.load import Shape
from turnkey.measure.plan import Settings
from turnkey.measure.process import ProcessWorkers
from turnkey.measure.slices import Slice
from turnkey.measure.target import TargetDescription
from turnkey.measure.validity import Reason
from turnkey.version import __version__


class LoadWorker(Worker, Protocol):
    """A worker that can also carry a load shape."""

    def drive(self, *, kind: str, **arguments: Any) -> Mapping[str, Any]:
        """See `turnkey.measure.drive`."""


StartLoadWorker = Callable[..., LoadWorker]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One level, rate or repetition.

    Attributes:
        round: process that carried it, from 1.
        clients: of a closed loop.
        rate_per_s: of an open loop, as asked.
        throughput_per_s: completed per second.
        in_flight: X·R of a closed loop.
        p50_ms, p99_ms: latency; None with too few calls.
        kept: whether the bound was kept.
        confirms: a fresh process repeated an earlier rate.
    """

    round: int
    queries: int
    throughput_per_s: float
    clients: int | None = None
    rate_per_s: float | None = None
    in_flight: float | None = None
    p50_ms: float | None = None
    p99_ms: float | None = None
    late_sends: int = 0
    kept: bool | None = None
    confirms: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """What a load shape found.

    Attributes:
        rate_per_s: ``server``: highest rate whose bound was kept and confirmed; ``offline``: items per second;
            ``concurrency``: highest throughput. None where nothing kept the bound.
        trials: everything that was tried, in order.
        reasons: why it must not be used; empty if it may.
    """

    key: str
    shape: Shape
    rate_per_s: float | None
    trials: tuple[Trial, ...]
    reasons: tuple[Reason, ...]

    @classmethod
    def load(cls, path: Path) -> LoadResult:
        """Read the record of a load shape.

        Raises:
            InputError: there is nothing at ``path``.
            ArtifactError: it is no record, or not of a load shape.
        """
        run, _ = journal.read(path)
        if "shape" not in run:
            raise ArtifactError("this record is not of a load shape", evidence=str(path), remedy="Record.load")
        shape = Shape(**{**run["shape"], "clients": tuple(run["shape"]["clients"])})
        return cls(
            key=run["variants"][0]["key"],
            shape=shape,
            rate_per_s=run.get("rate_per_s"),
            trials=tuple(Trial(**trial) for trial in run["trials"]),
            reasons=tuple(Reason(**item) for item in run.get("validity", ())),
        )

    @property
    def validity(self) -> str:
        return "INVALID" if self.reasons else "VALID"

    def sentence(self) -> str:
        """The result in plain words."""
        invalid = f" (INVALID: {', '.join(sorted({item.code for item in self.reasons}))})" if self.reasons else ""
        if self.rate_per_s is None:
            return f"{self.key} kept no rate within {self.shape.bound_ms:g} ms{invalid}"
        if self.shape.kind == "server":
            bound = f"p{100 * self.shape.quantile:g} within {self.shape.bound_ms:g} ms"
            return f"{self.key} serves {self.rate_per_s:.4g} queries per second with {bound}{invalid}"
        if self.shape.kind == "offline":
            return f"{self.key} computes {self.rate_per_s:.4g} calls per second offline{invalid}"
        best = max(self.trials, key=lambda trial: trial.throughput_per_s)
        return f"{self.key} peaks at {self.rate_per_s:.4g} calls per second with {best.clients} clients{invalid}"


def run_load(
    target: TargetDescription,
    shape: Shape,
    *,
    settings: Settings | None = None,
    path: Path | None = None,
    workers: StartLoadWorker | None = None,
) -> LoadResult:
    """Load one target as ``shape`` says.

    Args:
        path: of the record (``load.zip``); None keeps nothing.
        workers: who starts the workers; None is fresh processes.

    Raises:
        TurnkeyError: the target could not be loaded, or was lost under load.
    """
    chosen = settings or Settings()
    with tempfile.TemporaryDirectory(prefix="turnkey-logs-") as logs:
        start: StartLoadWorker = workers or ProcessWorkers(Path(logs), step_timeout_s=chosen.step_timeout_s)
        return _LoadExperiment(target, shape, chosen, path, start).run()


class _LoadExperiment:
    def __init__(
        self, target: TargetDescription, shape: Shape, settings: Settings, path: Path | None, start: StartLoadWorker
    ) -> None:
        self._target = target
        self._shape = shape
        self._settings = settings
        self._start = start
        self._journal = Journal(path)
        self._threads = target.threads or settings.threads or host.fair_threads()
        self._trials: list[Trial] = []
        self._reasons: dict[str, Reason] = {}
        self._round = 0

    def run(self) -> LoadResult:
        self._journal.begin(
            {
                "schema": journal.SCHEMA,
                "tool": {"name": "turnkey", "version": __version__},
                "state": "growing",
                "seed": self._settings.seed,
                "settings": self._settings.to_json(),
                "environment": environment.probe(),
                "shape": asdict(self._shape),
                "variants": [{"key": self._target.key, "threads": self._threads, "facts": dict(self._target.facts)}],
                "trials": [],
            }
        )
        try:
            rate = {"concurrency": self._sweep, "server": self._search, "offline": self._repeat}[self._shape.kind]()
        except WorkerLost as lost:
            raise lost.error from lost
        finally:
            self._journal.close()
        result = LoadResult(
            key=self._target.key,
            shape=self._shape,
            rate_per_s=rate,
            trials=tuple(self._trials),
            reasons=tuple(self._reasons.values()),
        )
        self._journal.run.update(
            state="finished",
            rate_per_s=rate,
            trials=[asdict(trial) for trial in self._trials],
            validity=[item.to_json() for item in result.reasons],
        )
        self._journal.finish(keep_logs=frozenset())
        if self._settings.strict and result.reasons:
            raise MeasurementInvalid(
                "this load measurement must not be used as it is",
                evidence="\n".join(str(item) for item in result.reasons),
            )
        return result

    def _sweep(self) -> float | None:
        """Closed loops of 1, 2, 4 … clients on one loaded model."""
        with _Loaded(self) as worker:
            for clients in self._shape.clients:
                found = worker.drive(kind="concurrency", clients=clients, seconds=self._shape.seconds)
                starts, durations = found["starts"], found["durations"]
                flow = load.flow(starts, durations)
                if not flow.is_lawful:
                    self._spoil("littles-law", f"{clients} clients, yet {flow.in_flight:.2f} calls in flight")
                for number, (at, took) in enumerate(zip(starts, durations, strict=True)):
                    self._keep(number, at[0], took, [start - at[0] for start in at])
                pooled = [value for client in durations for value in client]
                self._trials.append(
                    Trial(
                        round=self._round,
                        queries=len(pooled),
                        clients=clients,
                        throughput_per_s=flow.throughput_per_s,
                        in_flight=flow.in_flight,
                        p50_ms=load.percentile_ms(pooled, 0.5),
                        p99_ms=load.percentile_ms(pooled, 0.99),
                    )
                )
        return max(trial.throughput_per_s for trial in self._trials)

    def _search(self) -> float | None:
        """Open loop: the highest rate that keeps the bound, confirmed in fresh processes."""
        tried: list[tuple[float, bool]] = []
        with _Loaded(self) as worker:
            first = 0.5e9 / worker.call_ns
            while (rate := load.next_rate(tried, first=first)) is not None:
                tried.append((rate, self._serve(worker, rate)))
        kept = sorted({rate for rate, ok in tried if ok}, reverse=True)
        for rate in kept:
            outcomes = []
            for _ in range(self._shape.rounds):
                with _Loaded(self) as worker:
                    outcomes.append(self._serve(worker, rate, confirms=True))
                if not outcomes[-1]:
                    break
            if all(outcomes):
                return rate
        return None

    def _serve(self, worker: _Loaded, rate: float, *, confirms: bool = False) -> bool:
        count = load.queries_for(rate, self._shape)
        offsets = load.arrivals(rate, count, seed=self._settings.seed + len(self._trials))
        found = worker.drive(kind="server", offsets=list(offsets), service_threads=self._shape.service_threads)
        latencies = found["latencies"]
        bound = self._shape.bound_ms or math.inf
        kept = load.keeps_bound(latencies, bound_ms=bound, quantile=self._shape.quantile)
        if load.sends_are_late(found["late_sends"], count):
            evidence = f"{found['late_sends']} of {count} arrivals sent more than 1 ms late at {rate:.4g} per second"
            self._spoil("generator-late", evidence)
        self._keep(0, 0, latencies, list(offsets))
        last = max(offset + latency for offset, latency in zip(offsets, latencies, strict=True))
        self._trials.append(
            Trial(
                round=self._round,
                queries=count,
                rate_per_s=rate,
                throughput_per_s=count / (last / 1e9),
                p50_ms=load.percentile_ms(latencies, 0.5),
                p99_ms=load.percentile_ms(latencies, 0.99),
                late_sends=found["late_sends"],
                kept=kept,
                confirms=confirms,
            )
        )
        return kept

    def _repeat(self) -> float | None:
        """All samples at once, three fresh processes or more."""
        for _ in range(self._shape.rounds):
            with _Loaded(self) as worker:
                found = worker.drive(kind="offline", seconds=self._shape.seconds)
                self._keep(0, 0, [found["elapsed"]], [0], inner=found["items"])
                rate = found["items"] / (found["elapsed"] / 1e9)
                self._trials.append(Trial(round=self._round, queries=found["items"], throughput_per_s=rate))
        return plain.median(trial.throughput_per_s for trial in self._trials)

    def _spoil(self, code: str, evidence: str) -> None:
        self._reasons.setdefault(code, validity.reason(code, evidence, key=self._target.key))

    def _keep(self, position: int, t0: int, ns: list[int], at: list[int], *, inner: int = 1) -> None:
        self._journal.add(
            Slice(
                v=self._target.key,
                r=self._round,
                p=len(self._trials),
                pos=position,
                kind="load",
                t0=t0,
                settle=None,
                ns=tuple(max(1, value) for value in ns),
                at=tuple(at),
                inner=inner,
            )
        )

    def start_worker(self) -> LoadWorker:
        """A fresh process of the target."""
        self._round += 1
        return self._start(
            self._target,
            name=self._target.key,
            round_=self._round,
            threads=self._threads,
            pad=schedule.pad(seed=self._settings.seed, round_=self._round, position=0),
        )

    def note_wrong(self, wrong: str) -> None:
        self._spoil("wrong-output", wrong)


class _Loaded:
    """A worker that is loaded, checked and warm; ended on the way out."""

    def __init__(self, experiment: _LoadExperiment) -> None:
        self._experiment = experiment
        self.call_ns = 0.0

    def __enter__(self) -> _Loaded:
        self._worker = self._experiment.start_worker()
        try:
            self._worker.arrive()
            loaded = self._worker.load()
            if loaded.wrong:
                self._experiment.note_wrong(loaded.wrong)
            warm = self._worker.warm(call_ns=loaded.call_ns, n_warm=0)
        except BaseException:
            self._worker.kill()
            raise
        tail = sorted(warm.ns[2 * len(warm.ns) // 3 :])
        self.call_ns = float(tail[len(tail) // 2])
        return self

    def __exit__(self, *_: object) -> None:
        self._worker.kill()

    def drive(self, **arguments: Any) -> Mapping[str, Any]:
        return self._worker.drive(**arguments)
