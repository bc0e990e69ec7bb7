"""What failed, grouped: builds that failed in the same tool for the same cause stand together.

As `turnkey.cli.causes` groups the results of a call: messages that differ in names, paths and numbers are one cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnkey.pipeline.failure import FAILED
from turnkey.pipeline.failure_shape import by_cause
from turnkey.report.cell import MISSING
from turnkey.report.source import ReportedBuild

_Said = tuple[str, str, ReportedBuild]
"""Tool, message and build."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCluster:
    """Builds that failed alike.

    Attributes:
        tool: that failed; `MISSING` where no tool says so.
        message: what happened to the first of them, in one line.
        builds: in the order of the report.
        log: error log of the first.
    """

    tool: str
    message: str
    builds: tuple[ReportedBuild, ...]
    log: str | None


def failure_clusters(builds: Iterable[ReportedBuild]) -> list[FailureCluster]:
    """Builds that failed, the most frequent cluster first."""
    failed = [(failed_tool(build), message(build), build) for build in builds if build.status in FAILED]
    return _clusters(failed, has_log=True)


def conversion_clusters(builds: Iterable[ReportedBuild]) -> list[FailureCluster]:
    """Conversions that failed, by format and cause; the builds themselves may be successful."""
    failed = [
        (f"convert --to {entry.get('format')}", conversion_message(entry), build)
        for build in builds
        for entry in build.conversions
        if entry.get("outcome") == "failed"
    ]
    return _clusters(failed, has_log=False)


def conversion_message(entry: Mapping[str, Any]) -> str:
    """Why a conversion failed, in one line; empty if it did not."""
    error = entry.get("error")
    return str(error.get("what") or "") if isinstance(error, Mapping) else str(error or "")


def _clusters(failed: Iterable[_Said], *, has_log: bool) -> list[FailureCluster]:
    return [
        FailureCluster(
            tool=alike[0][0],
            message=alike[0][1],
            builds=tuple(build for _, _, build in alike),
            log=alike[0][2].statistics.get("error_log") if has_log else None,
        )
        for alike in by_cause(failed, place=lambda said: said[0], message=lambda said: said[1])
    ]


def failed_tool(build: ReportedBuild) -> str:
    """The last tool that says it failed."""
    prefix = "tool_status:"
    failed = [
        key.removeprefix(prefix)
        for key, status in build.statistics.items()
        if key.startswith(prefix) and status in (*FAILED, "incomplete")
    ]
    return failed[-1] if failed else MISSING


def message(build: ReportedBuild) -> str:
    """What happened, in one line."""
    for key in ("reason", "error_log"):
        lines = str(build.statistics.get(key) or "").splitlines()
        if lines:
            return lines[0]
    return build.status
