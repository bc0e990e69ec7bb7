"""What failed, grouped: builds that failed in the same tool with the same message stand together."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from turnkey.report.cell import MISSING
from turnkey.report.source import ReportedBuild

FAILED = ("error", "timeout", "killed")


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureCluster:
    """Builds that failed alike.

    Attributes:
        tool: that failed; `MISSING` where no tool says so.
        message: what happened, in one line.
        builds: in the order of the report.
        log: error log of the first.
    """

    tool: str
    message: str
    builds: tuple[ReportedBuild, ...]
    log: str | None


def failure_clusters(builds: Iterable[ReportedBuild]) -> list[FailureCluster]:
    """All clusters, the most frequent first."""
    groups: dict[tuple[str, str], list[ReportedBuild]] = {}
    for build in builds:
        if build.status in FAILED:
            groups.setdefault((failed_tool(build), message(build)), []).append(build)
    ordered = sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    return [
        FailureCluster(tool=tool, message=said, builds=tuple(failed), log=failed[0].statistics.get("error_log"))
        for (tool, said), failed in ordered
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
    """What happened, in one line: the same for builds that failed in the same way."""
    for key in ("reason", "error_log"):
        lines = str(build.statistics.get(key) or "").splitlines()
        if lines:
            return lines[0]
    return build.status
