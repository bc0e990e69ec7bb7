"""A package on this host: are its numbers still right, and is it as fast as it says?"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from turnkey import host
from turnkey.errors import TurnkeyError
from turnkey.host import fair_threads
from turnkey.navigator import conversion
from turnkey.navigator.contestant import Contestant
from turnkey.navigator.exceptions import NotFoundError
from turnkey.navigator.job_runner import WorkerJobs
from turnkey.navigator.package_archive import load
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.profiler_config import ProfilerConfig
from turnkey.navigator.profiling import profile_contestants
from turnkey.navigator.reopened import reopened
from turnkey.navigator.runner_table import obstacle, runner_kinds
from turnkey.navigator.status import CORRECTNESS, CommandStatus, Rung
from turnkey.navigator.stored_metadata import limits_of
from turnkey.navigator.tolerances import Limits
from turnkey.navigator.workspace import Workspace

MARGIN = 0.10
"""Relative difference of two runs of one process each that says nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One runner checked on this host.

    Attributes:
        key: ``onnx @ OnnxCPU``.
        outcome: ``valid``, ``invalid`` or ``skipped``.
        reason: why it is not valid, or was skipped.
        max_abs: largest difference over all outputs.
    """

    key: str
    outcome: str
    reason: str = ""
    max_abs: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return {"key": self.key, "outcome": self.outcome, "reason": self.reason, "max_abs": self.max_abs}


@dataclass(frozen=True, slots=True, kw_only=True)
class Remeasured:
    """One recorded result measured again.

    Attributes:
        outcome: ``reproduced``, ``slower``, ``faster``, or ``not comparable``.
        recorded, found: latency with its bounds, ms.
        reason: what keeps it from being compared.
    """

    key: str
    batch_size: int | None
    outcome: str
    recorded: tuple[float, float | None, float | None]
    found: tuple[float, float | None, float | None]
    reason: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "batch_size": self.batch_size,
            "outcome": self.outcome,
            "recorded_ms": list(self.recorded),
            "found_ms": list(self.found),
            "reason": self.reason,
        }


def verify_package(path: Path) -> list[Verified]:
    """Run every model of a package on its own samples and compare with the stored reference outputs.

    Raises:
        ArtifactError: the package was tampered with.
        NotFoundError: it holds no samples.
    """
    with _opened(path) as (package, prepared, workspace):
        limits = limits_of(package.status)
        jobs = WorkerJobs.of_files()
        try:
            return [
                _verified(package, workspace, prepared, jobs, key, name, limits)
                for key, model in package.status.models.items()
                for name, runner in model.runners_status.items()
                if runner.ended(CORRECTNESS) is CommandStatus.OK
            ]
        finally:
            jobs.close()


def reproduce_package(path: Path, *, every: bool = False) -> list[Remeasured]:
    """Measure the best result of a package (or every one that has a file) again, and compare with what it says.

    A result is reproduced if the intervals overlap, or differ by no more than `MARGIN`. On another processor they are
    not compared.

    Raises:
        ArtifactError: the package was tampered with.
        RuntimeAnalyzerError: nothing in it can be measured without the source model.
    """
    with _opened(path) as (package, prepared, workspace):
        if every:
            wanted = package.candidates(include_source=False).entries
            pairs = [(each.model.model_config.key, each.runner.runner_name) for each in wanted]
        else:
            best = package.get_best_runtime(include_source=False)
            pairs = [(best.model_key, best.runner_name)]
        found = []
        for key, name in pairs:
            found.append(_remeasured(package, workspace, prepared, key, name))
        return found


@contextmanager
def _opened(path: Path) -> Any:
    with tempfile.TemporaryDirectory(prefix="turnkey-package-") as scratch:
        package = load(path, workspace=Path(scratch) / "package")
        workspace, prepared = reopened(package)
        yield package, prepared, workspace


def _verified(
    package: Package,
    workspace: Workspace,
    prepared: Prepared,
    jobs: WorkerJobs,
    key: str,
    name: str,
    limits: Limits,
) -> Verified:
    label = f"{key} @ {name}"
    model = package.status.models[key]
    kind = runner_kinds().get(name)
    if model.model_config.format.is_source:
        return Verified(key=label, outcome="skipped", reason="the source model is not part of a package")
    if kind is None:
        return Verified(key=label, outcome="skipped", reason="no such runner is known here")
    if not (workspace.path / model.model_config.path).exists():
        return Verified(key=label, outcome="skipped", reason="its file is not part of this package")
    reason = obstacle(kind)
    if reason:
        return Verified(key=label, outcome="skipped", reason=reason)
    log = workspace.path / "verify.log"
    job = conversion.check_job(model, kind, prepared.stored, workspace, limits=limits, threads=fair_threads(), log=log)
    try:
        answer = jobs.perform(job)
    except TurnkeyError as error:
        return Verified(key=label, outcome="invalid", reason=f"{error.what} {error.evidence}".strip()[:500])
    worst = max((each["atol"] for each in answer["tolerances"] if each["atol"] is not None), default=None)
    return Verified(key=label, outcome="valid" if answer["ok"] else "invalid", reason=answer["reason"], max_abs=worst)


def _remeasured(package: Package, workspace: Workspace, prepared: Prepared, key: str, name: str) -> Remeasured:
    model = package.status.models[key]
    recorded = min(model.runners_status[name].rungs, key=lambda rung: rung.p50_latency)
    kind = runner_kinds().get(name)
    if kind is None or obstacle(kind):
        raise NotFoundError(f"{name} cannot run here", evidence="" if kind is None else obstacle(kind))
    sizes = [recorded.batch_size]
    config = ProfilerConfig.from_dict({**package.config.get("profiler_config", {}), "batch_sizes": sizes})
    contestant = Contestant(model_key=key, kind=kind, path=conversion.file_of(model, workspace), sha256=model.sha256)
    found = profile_contestants(
        prepared,
        [contestant],
        ProfilePlan(config=config, on_unstable="flag", threads=recorded.threads),
        records=workspace.path / "again",
        relative_to=workspace.path,
        say=lambda text: None,
    )[contestant.key]
    if found.error is not None:
        raise found.error
    return compared(contestant.key, recorded, found.rungs[0], differences(package, recorded))


def compared(key: str, recorded: Rung, found: Rung, obstacles: Sequence[str]) -> Remeasured:
    """The recorded result beside the new one; ``obstacles`` keep them from being compared. Pure."""
    bounds = [
        (rung.p50_latency, rung.ci_low or rung.p50_latency, rung.ci_high or rung.p50_latency)
        for rung in (recorded, found)
    ]
    (_, low, high), (_, new_low, new_high) = bounds
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
        recorded=(recorded.ci_center or recorded.p50_latency, recorded.ci_low, recorded.ci_high),
        found=(found.ci_center or found.p50_latency, found.ci_low, found.ci_high),
        reason="; ".join(obstacles),
    )


def differences(package: Package, recorded: Rung) -> list[str]:
    """What keeps a result of this host from being compared with the package's."""
    there = (package.status.environment.get("cpu") or {}).get("name")
    here, cores = host.processor(), fair_threads()
    found = [] if there == here else [f"measured on {there}, this is {here}"]
    if recorded.threads is not None and recorded.threads > cores:
        found.append(f"measured with {recorded.threads} threads, this process may use {cores} cores")
    return found
