"""Isolated inputs."""

from __future__ import annotations

from pathlib import Path

from turnkey.errors import UsageError
from turnkey.launch.result import Result
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline.events import Listener


def run_isolated(item: WorkItem, path: Path, *, log: Path, listen: Listener) -> Result:
    """Work on one item in a process of its own."""
    raise UsageError("process isolation is not there yet")
