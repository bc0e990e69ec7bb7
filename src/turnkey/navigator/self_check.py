"""A package checked on this host: are its numbers still right?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey.errors import TurnkeyError
from turnkey.host import fair_threads
from turnkey.navigator.checking import check_job
from turnkey.navigator.job_runner import WorkerJobs
from turnkey.navigator.model_files import is_intact
from turnkey.navigator.package_archive import opened
from turnkey.navigator.package_result import Package
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.runner_table import obstacle, runner_kinds
from turnkey.navigator.status import CORRECTNESS, CommandStatus, RunnerStatus
from turnkey.navigator.stored_metadata import limits_of_runner
from turnkey.navigator.stored_sets import reopened
from turnkey.navigator.tolerances import Limits, plain_limits
from turnkey.navigator.workspace import Workspace


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """One runner checked on this host.

    Attributes:
        key: ``onnx @ OnnxCPU``.
        outcome: ``valid``, ``invalid`` or ``skipped``.
        reason: why it is not valid, or was skipped.
        max_abs: largest difference over all outputs.
        limits: (atol, rtol) by output, by which it was judged; None is not judged.
    """

    key: str
    outcome: str
    reason: str = ""
    max_abs: float | None = None
    limits: Limits = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "outcome": self.outcome,
            "reason": self.reason,
            "max_abs": self.max_abs,
            "limits": plain_limits(self.limits),
        }


def verify_package(path: Path) -> list[Verified]:
    """Run every model of a package on its own samples and compare with the stored reference outputs.

    Every output is judged by the limits that the package says it was judged by.

    Args:
        path: of an archive or a workspace.

    Raises:
        ArtifactError: the package was tampered with.
        NotFoundError: it holds no samples.
    """
    with opened(path) as package, tempfile.TemporaryDirectory(prefix="turnkey-verify-") as scratch:
        workspace, prepared = reopened(package)
        jobs = WorkerJobs.of_files()
        try:
            return [
                _verified(package, workspace, prepared, jobs, key, runner, log=Path(scratch) / "verify.log")
                for key, model in package.status.models.items()
                for runner in model.runners_status.values()
                if runner.ended(CORRECTNESS) is CommandStatus.OK
            ]
        finally:
            jobs.close()


def _verified(
    package: Package,
    workspace: Workspace,
    prepared: Prepared,
    jobs: WorkerJobs,
    key: str,
    runner: RunnerStatus,
    *,
    log: Path,
) -> Verified:
    label = f"{key} @ {runner.runner_name}"
    model = package.status.models[key]
    kind = runner_kinds().get(runner.runner_name)
    if model.model_config.format.is_source:
        return Verified(key=label, outcome="skipped", reason="the source model is not part of a package")
    if kind is None:
        return Verified(key=label, outcome="skipped", reason="no such runner is known here")
    if not (workspace.path / model.model_config.path).exists():
        return Verified(key=label, outcome="skipped", reason="its file is not part of this package")
    if not is_intact(model, workspace):
        return Verified(key=label, outcome="invalid", reason="its file is not the one that was made")
    reason = obstacle(kind)
    if reason:
        return Verified(key=label, outcome="skipped", reason=reason)
    limits = limits_of_runner(package.status, runner)
    job = check_job(model, kind, prepared.stored, workspace, limits=limits, threads=fair_threads(), log=log)
    try:
        answer = jobs.perform(job)
    except TurnkeyError as error:
        return Verified(key=label, outcome="invalid", reason=f"{error.what} {error.evidence}".strip()[:500])
    worst = max((each["atol"] for each in answer["tolerances"] if each["atol"] is not None), default=None)
    return Verified(
        key=label,
        outcome="valid" if answer["ok"] else "invalid",
        reason=answer["reason"],
        max_abs=worst,
        limits={
            each["output_name"]: None if each["limit_atol"] is None else (each["limit_atol"], each["limit_rtol"])
            for each in answer["tolerances"]
        },
    )
