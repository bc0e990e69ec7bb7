"""What a load shape found: every number is computed from the samples of its record."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.measure import journal, load, statistics, validity
from turnkey.measure.environment import Span
from turnkey.measure.load import Shape
from turnkey.measure.slices import Slice
from turnkey.measure.validity import Reason

_TOLD = ("round", "clients", "rate_per_s", "late_sends", "confirms")
"""Fields of a trial that its samples do not carry: they are read from ``run.json``."""


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
        is_finished: False where it was interrupted: there might have been more trials.
    """

    key: str
    shape: Shape
    rate_per_s: float | None
    trials: tuple[Trial, ...]
    reasons: tuple[Reason, ...]
    is_finished: bool = True

    @classmethod
    def load(cls, path: Path) -> LoadResult:
        """Read the record of a load shape, finished or not.

        Raises:
            InputError: there is nothing at ``path``.
            ArtifactError: it is no record, not of a load shape, or damaged.
        """
        run, _ = journal.read(path, with_slices=False)
        if "shape" not in run:
            raise ArtifactError("this record is not of a load shape", evidence=str(path), remedy="Record.load")
        try:
            return cls.of(*journal.read(path))
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ArtifactError("a record is incomplete or damaged", evidence=f"{path}: {error!r}") from error

    @classmethod
    def of(cls, run: Mapping[str, Any], slices: Sequence[Slice]) -> LoadResult:
        """Compute it from the content of a record; raises KeyError and the like where parts are missing."""
        key = run["variants"][0]["key"]
        shape = Shape(**{**run["shape"], "clients": tuple(run["shape"]["clients"])})
        trials = tuple(
            trial_of(shape, [item for item in slices if item.p == number], **{name: entry[name] for name in _TOLD})
            for number, entry in enumerate(run["trials"])
        )
        return cls(
            key=key,
            shape=shape,
            rate_per_s=_rate(shape, trials),
            trials=trials,
            reasons=validity.first_of_each(_reasons(run, key, trials)),
            is_finished=run["state"] == "finished",
        )

    @property
    def validity(self) -> str:
        return "INVALID" if self.reasons else "VALID"

    def sentence(self) -> str:
        """The result in plain words."""
        said = sorted({item.code for item in self.reasons})
        caveats = [f"INVALID: {', '.join(said)}"] if said else []
        caveats += [] if self.is_finished else ["unfinished"]
        return self._found() + (f" ({'; '.join(caveats)})" if caveats else "")

    def _found(self) -> str:
        if self.rate_per_s is None:
            bound = "" if self.shape.bound_ms is None else f" within {self.shape.bound_ms:g} ms"
            return f"{self.key} kept no rate{bound}" if self.trials else f"{self.key} was not loaded yet"
        if self.shape.kind == "server":
            bound = f"p{100 * self.shape.quantile:g} within {self.shape.bound_ms:g} ms"
            return f"{self.key} serves {self.rate_per_s:.4g} queries per second with {bound}"
        if self.shape.kind == "offline":
            return f"{self.key} computes {self.rate_per_s:.4g} calls per second offline"
        best = max(self.trials, key=lambda trial: trial.throughput_per_s)
        return f"{self.key} peaks at {self.rate_per_s:.4g} calls per second with {clients_text(best.clients or 0)}"


def clients_text(count: int) -> str:
    """``1 client``, ``4 clients``."""
    return f"{count} client" + ("s" if count != 1 else "")


def trial_of(
    shape: Shape,
    slices: Sequence[Slice],
    *,
    round: int,
    clients: int | None = None,
    rate_per_s: float | None = None,
    late_sends: int = 0,
    confirms: bool = False,
) -> Trial:
    """One trial from the slices that it left: of each client of a closed loop, else one."""
    if shape.kind == "offline":
        (item,) = slices
        return Trial(round=round, queries=item.inner, throughput_per_s=item.inner / (item.ns[0] / 1e9))
    latencies = [duration for item in slices for duration in item.ns]
    trial = Trial(
        round=round,
        queries=len(latencies),
        throughput_per_s=0.0,
        p50_ms=load.percentile_ms(latencies, 0.5),
        p99_ms=load.percentile_ms(latencies, 0.99),
    )
    if shape.kind == "concurrency":
        starts = [[item.t0 + offset for offset in item.at] for item in slices]
        flow = load.flow(starts, [item.ns for item in slices])
        return replace(trial, clients=clients, throughput_per_s=flow.throughput_per_s, in_flight=flow.in_flight)
    (item,) = slices
    last = max(offset + latency for offset, latency in zip(item.at, item.ns, strict=True))
    return replace(
        trial,
        rate_per_s=rate_per_s,
        throughput_per_s=len(latencies) / (last / 1e9),
        late_sends=late_sends,
        kept=load.keeps_bound(latencies, bound_ms=shape.bound_ms or math.inf, quantile=shape.quantile),
        confirms=confirms,
    )


def _rate(shape: Shape, trials: Sequence[Trial]) -> float | None:
    if not trials:
        return None
    if shape.kind == "concurrency":
        return max(trial.throughput_per_s for trial in trials)
    if shape.kind == "offline":
        return statistics.median(trial.throughput_per_s for trial in trials)
    confirming: dict[float, list[bool]] = {}
    for trial in trials:
        if trial.confirms and trial.rate_per_s is not None:
            confirming.setdefault(trial.rate_per_s, []).append(bool(trial.kept))
    whole = [rate for rate, kept in confirming.items() if len(kept) == shape.rounds and all(kept)]
    return max(whole, default=None)


def _reasons(run: Mapping[str, Any], key: str, trials: Sequence[Trial]) -> Iterator[Reason]:
    if "processes" not in run:  # records of earlier versions keep the reasons, not what they came from
        yield from (Reason(**item) for item in run.get("validity", ()))
        return
    for process in run["processes"]:
        yield from validity.of_process(key, process)
    yield from validity.of_warm_up(key, run["processes"])
    for item in validity.of_host([Span(**span) for span in run["spans"]]):
        yield replace(item, key=key)
    for trial in trials:
        if trial.clients and not load.is_lawful(trial.clients, trial.in_flight or 0.0):
            evidence = f"{clients_text(trial.clients)}, yet {trial.in_flight or 0.0:.2f} calls in flight"
            yield validity.reason("littles-law", evidence, key=key)
        if load.sends_are_late(trial.late_sends, trial.queries):
            evidence = f"{trial.late_sends} of {trial.queries} arrivals sent more than 1 ms late"
            yield validity.reason("generator-late", f"{evidence} at {trial.rate_per_s:.4g} per second", key=key)
