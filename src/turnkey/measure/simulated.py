"""A simulated host with known truth, on which the unchanged engine runs. The noise model of docs/measuring.md.

Time is counted in calls: whoever calls moves the host's clock on by one. Nothing here reads a clock or a file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from turnkey.measure import warmup
from turnkey.measure.crew import LoadReport, SliceReport
from turnkey.measure.statistics import Floats
from turnkey.measure.target import TargetDescription
from turnkey.measure.warmup import WarmUp

_CHUNK = 8192
_SETTLING = 1.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """What the host does to calls.

    Attributes:
        busy, quiet: mean length of the spells, in calls; busy 0 has no spells.
        slower: factor of a busy spell, itself ± 10 % from spell to spell.
        drift: amplitude over 20,000 calls.
        process: standard deviation of a process's own offset, log.
    """

    busy: float = 0.0
    quiet: float = 1.0
    slower: float = 1.0
    drift: float = 0.0
    jitter: float = 0.02
    spikes: float = 0.004
    process: float = 0.01


QUIET = Noise()
BURSTY = Noise(busy=120, quiet=400, slower=1.35, drift=0.03)
HEAVY = Noise(busy=300, quiet=300, slower=1.6, drift=0.03)
HOSTS: Mapping[str, Noise] = {"quiet": QUIET, "bursty": BURSTY, "heavy": HEAVY}


class SimulatedHost:
    """A shared host: one stream of slow-downs for whoever calls next."""

    def __init__(self, noise: Noise, *, seed: int) -> None:
        self.noise = noise
        self.generator = np.random.Generator(np.random.PCG64(seed))
        self.calls = 0
        self._phase = float(self.generator.uniform(0, 2 * np.pi))
        self._is_busy = noise.busy > 0 and self.generator.random() < noise.busy / (noise.busy + noise.quiet)
        self._spells = np.empty(0)

    def durations(self, count: int, *, base: float) -> Floats:
        """Durations of the next ``count`` calls that would take ``base`` alone on the host; same unit as ``base``."""
        noise, generator = self.noise, self.generator
        times = base * np.exp(generator.normal(0, noise.jitter, count)) * self._next_spells(count)
        spikes = generator.random(count) < noise.spikes
        if spikes.any():
            times[spikes] *= 1.5 + generator.pareto(2, int(spikes.sum()))
        if noise.drift:
            position = self.calls + np.arange(count)
            times *= 1 + noise.drift * np.sin(2 * np.pi * position / 20_000 + self._phase)
        self.calls += count
        return times

    def _next_spells(self, count: int) -> Floats:
        if not self.noise.busy:
            return np.ones(count)
        while len(self._spells) < count:
            parts = [self._spells]
            while sum(map(len, parts)) < count + _CHUNK:
                mean = self.noise.busy if self._is_busy else self.noise.quiet
                length = 1 + int(self.generator.exponential(mean))
                level = 1 + (self.noise.slower - 1) * self.generator.uniform(0.9, 1.1) if self._is_busy else 1.0
                parts.append(np.full(length, level))
                self._is_busy = not self._is_busy
            self._spells = np.concatenate(parts)
        taken, self._spells = self._spells[:count], self._spells[count:]
        return taken


class SimulatedWorkers:
    """Factory of simulated workers on one host.

    Args:
        times: true duration of a call by key, nanoseconds.
        decay: calls over which a fresh process gets faster (by 0.8 of its steady time at first).
        decays: of single keys, in place of ``decay``.
        peak_bytes: memory that every process says it needs.
        load_ns: how long every process says that it loads.
    """

    def __init__(
        self,
        host: SimulatedHost,
        times: Mapping[str, float],
        *,
        decay: float = 30.0,
        decays: Mapping[str, float] | None = None,
        peak_bytes: int | None = None,
        load_ns: int = 1,
    ) -> None:
        self.host = host
        self._decays = decays or {}
        self._times = times
        self._decay = decay
        self._peak_bytes = peak_bytes
        self._load_ns = load_ns

    def __call__(
        self, description: TargetDescription, *, name: str, round_: int, threads: int, pad: int
    ) -> SimulatedWorker:
        return SimulatedWorker(
            self.host,
            base=self._times[description.key],
            decay=self._decays.get(description.key, self._decay),
            peak_bytes=self._peak_bytes,
            load_ns=self._load_ns,
        )


class SimulatedWorker:
    """A process with an offset of its own, which gets faster while it warms."""

    can_sleep = True

    def __init__(
        self, host: SimulatedHost, *, base: float, decay: float, peak_bytes: int | None, load_ns: int
    ) -> None:
        self._host = host
        self._peak_bytes = peak_bytes
        self._load_ns = load_ns
        self._base = base * float(np.exp(host.generator.normal(0, host.noise.process)))
        self._decay = decay
        self._done = 0

    def arrive(self) -> None:
        return None

    def load(self) -> LoadReport:
        first = self._calls(1)[0]
        rest = self._calls(8)
        return LoadReport(
            import_ns=1,
            load_ns=self._load_ns,
            compile_ns=None,
            first_ns=first,
            call_ns=float(np.median(rest)),
            samples=8,
            wrong=None,
        )

    def calibrate(self, *, call_ns: float) -> WarmUp:
        return warmup.calibrate(self._calls, call_ns=call_ns)

    def warm(self, *, call_ns: float, n_warm: int) -> WarmUp:
        return warmup.warm(self._calls, call_ns=call_ns, n_warm=n_warm)

    def slice(self, *, entries: int, inner: int) -> SliceReport:
        times = self._calls((entries * inner) + 1)
        settle, timed = int(times[0] * _SETTLING), np.asarray(times[1:]).reshape(entries, inner).sum(axis=1)
        return SliceReport(t0=self._host.calls, settle=settle, ns=tuple(int(value) for value in timed))

    def sleep(self) -> None:
        return None

    def wake(self) -> None:
        return None

    def peak_memory(self) -> int | None:
        return self._peak_bytes

    def kill(self) -> None:
        return None

    def _calls(self, count: int) -> list[int]:
        times = self._host.durations(count, base=self._base)
        if self._done < 20 * self._decay:
            times *= 1 + 0.8 * np.exp(-(self._done + np.arange(count)) / self._decay)
        self._done += count
        return [max(1, int(value)) for value in times]
