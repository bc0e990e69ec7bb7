"""What failed, grouped: builds that failed in the same tool with the same message stand together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from turnkey.report.cell import MISSING
from turnkey.report.source import ReportedBuild

_Groups = Mapping[tuple[str, str], list[ReportedBuild]]
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
    """Builds that failed, the most frequent cluster first."""
    groups: dict[tuple[str, str], list[ReportedBuild]] = {}
    for build in builds:
        if build.status in FAILED:
            groups.setdefault((failed_tool(build), message(build)), []).append(build)
    return [
        FailureCluster(tool=tool, message=said, builds=tuple(failed), log=failed[0].statistics.get("error_log"))
        for (tool, said), failed in _most_frequent(groups)
    ]


def conversion_clusters(builds: Iterable[ReportedBuild]) -> list[FailureCluster]:
    """Conversions that failed, by format and message; the builds themselves may be successful."""
    groups: dict[tuple[str, str], list[ReportedBuild]] = {}
    for build in builds:
        for entry in build.conversions:
            if entry.get("outcome") == "failed":
                groups.setdefault((f"convert --to {entry.get('format')}", conversion_message(entry)), []).append(build)
    return [
        FailureCluster(tool=tool, message=said, builds=tuple(failed), log=None)
        for (tool, said), failed in _most_frequent(groups)
    ]


def conversion_message(entry: Mapping[str, Any]) -> str:
    """Why a conversion failed, in one line; empty if it did not."""
    error = entry.get("error")
    return str(error.get("what") or "") if isinstance(error, Mapping) else str(error or "")


def _most_frequent(groups: _Groups) -> list[tuple[tuple[str, str], list[ReportedBuild]]]:
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


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
