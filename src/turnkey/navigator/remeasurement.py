"""The claim of a package measured again on this host: is it as fast as it says?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from turnkey import host
from turnkey.formats.failure_text import reason_of
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.package_archive import opened
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.runner_table import obstacle, runner_kinds
from turnkey.navigator.status import Rung
from turnkey.navigator.stored_sets import reopened
from turnkey.navigator.workspace import Workspace

MARGIN = 0.10
"""Relative difference of two runs of one process each that says nothing."""


class Latency(NamedTuple):
    """Milliseconds, with the bounds of the interval where they are known."""

    ms: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Remeasured:
    """One recorded result measured again.

    Attributes:
        outcome: ``reproduced``, ``slower``, ``faster``, ``not comparable``, or ``failed``.
        found: None where it could not be measured.
        reason: what keeps it from being compared or measured.
    """

    key: str
    batch_size: int | None
    outcome: str
    recorded: Latency
    found: Latency | None = None
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "batch_size": self.batch_size,
            "outcome": self.outcome,
            "recorded_ms": list(self.recorded),
            "found_ms": None if self.found is None else list(self.found),
            "reason": self.reason,
        }


def reproduce_package(path: Path, *, every: bool = False) -> list[Remeasured]:
    """Measure the best result of a package (or every one that has a file) again, and compare with what it says.

    A result is reproduced if the intervals overlap, or differ by no more than `MARGIN`. On another processor they are
    not compared.

    Args:
        path: of an archive or a workspace, which stays as it is.

    Raises:
        ArtifactError: the package was tampered with.
        RuntimeAnalyzerError: nothing in it can be measured without the source model.
    """
    with opened(path) as package:
        workspace, prepared = reopened(package)
        if every:
            wanted = package.candidates(include_source=False).entries
            pairs = [(each.model.model_config.key, each.runner.runner_name) for each in wanted]
        else:
            best = package.get_best_runtime(include_source=False)
            pairs = [(best.model_key, best.runner_name)]
        return [_remeasured(package, workspace, prepared, key, name) for key, name in pairs]


def _remeasured(package: Package, workspace: Workspace, prepared: Prepared, key: str, name: str) -> Remeasured:
    model = package.status.models[key]
    recorded = min(model.runners_status[name].rungs, key=lambda rung: rung.p50_latency)
    kind = runner_kinds().get(name)
    reason = f"no runner {name} is known here" if kind is None else obstacle(kind)
    if kind is None or reason:
        return _failed(f"{key} @ {name}", recorded, reason)
    sizes = [recorded.batch_size]
    config = ProfilerConfig.from_dict({**(package.config.get("profiler_config") or {}), "batch_sizes": sizes})
    contestant = Contestant.of(model, kind, workspace)
    with tempfile.TemporaryDirectory(prefix="turnkey-reproduce-") as scratch:
        found = profile_contestants(
            prepared,
            [contestant],
            ProfilePlan(config=config, on_unstable="flag", threads=recorded.threads),
            records=Path(scratch),
            relative_to=Path(scratch),
            say=lambda text: None,
        )[contestant.key]
    if found.error is not None:
        return _failed(contestant.key, recorded, reason_of(found.error))
    return compared(contestant.key, recorded, found.rungs[0], differences(package, recorded))


def compared(key: str, recorded: Rung, found: Rung, obstacles: Sequence[str]) -> Remeasured:
    """The recorded result beside the new one; ``obstacles`` keep them from being compared. Pure."""
    low, new_low = (rung.ci_low or rung.p50_latency for rung in (recorded, found))
    high, new_high = (rung.ci_high or rung.p50_latency for rung in (recorded, found))
    outcome = "reproduced"
    if obstacles:
        outcome = "not comparable"
    elif new_low > high * (1 + MARGIN):
        outcome = "slower"
    elif new_high < low / (1 + MARGIN):
        outcome = "faster"
    return Remeasured(
        key=key,
        batch_size=recorded.batch_size,
        outcome=outcome,
        recorded=_latency(recorded),
        found=_latency(found),
        reason="; ".join(obstacles),
    )


def _failed(key: str, recorded: Rung, reason: str) -> Remeasured:
    """A result that cannot be measured here; the others are."""
    return Remeasured(
        key=key, batch_size=recorded.batch_size, outcome="failed", recorded=_latency(recorded), reason=reason
    )


def _latency(rung: Rung) -> Latency:
    return Latency(rung.ci_center or rung.p50_latency, rung.ci_low, rung.ci_high)


def differences(package: Package, recorded: Rung) -> list[str]:
    """What keeps a result of this host from being compared with the package's."""
    there = (package.status.environment.get("cpu") or {}).get("name")
    here, cores = host.processor(), host.fair_threads()
    found = [] if there == here else [f"measured on {there}, this is {here}"]
    if recorded.threads is not None and recorded.threads > cores:
        found.append(f"measured with {recorded.threads} threads, this process may use {cores} cores")
    return found
