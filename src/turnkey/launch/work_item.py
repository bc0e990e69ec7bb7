"""A work item: one input with everything that is needed to work on it, as one JSON file.

The same function (`turnkey.launch.execution.run_item`) takes it in this process, in a worker or in a job elsewhere; no
command line is rebuilt. Paths, arguments and texts cross as JSON strings, so spaces, quotes and line breaks are safe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from turnkey.errors import ArtifactError
from turnkey.launch.memory_group import MemoryGroup
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.events import Event
from turnkey.pipeline.sequence import Sequence

VERSION = 1
_LARGEST_BYTES = 16 * 1024 * 1024

_ENVIRONMENT = (
    "CUDA_VISIBLE_DEVICES",
    "HF_HOME",
    "HF_HUB_OFFLINE",
    "LD_LIBRARY_PATH",
    "MKL_NUM_THREADS",
    "OMP_NUM_THREADS",
    "PYTHONHASHSEED",
    "PYTHONPATH",
    "TMPDIR",
    "TURNKEY_BUILD_MONITOR",
    "TURNKEY_ONNX_OPSET",
    "TURNKEY_TRACEBACK",
)
"""Variables that change what an input does; stored, so that a worker elsewhere sees what the call saw."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkItem:
    """One input of a call.

    Attributes:
        number: from 1, in the order of the call.
        input: as the user named it, with ``::hash``; for messages.
        path: as it was named; relative to ``working_directory``.
        target: the model hash after ``::``.
        labels: of the source.
        steps: ``[[tool, arguments], ...]``, effective arguments.
        timeout: seconds; for isolated items, as the limits are.
        memory_limit, disk_limit, output_limit: bytes of the process tree, of its build and temporary directories,
            and of its logs.
        reuse: take results of earlier runs where nothing that they depend on has changed.
        retry: with ``resume``, the kinds of failure that are run again (`turnkey.launch.resumption`); none named
            means all.
        environment: variables at the time of the call.
        scratch: name of a temporary directory for this item alone (`turnkey.launch.scratch`), if it is isolated.
        slurm_log: where its Slurm job writes outside of tools, relative to the cache.
        memory_group: directory of the control group that keeps its memory limit, if one could be had.
    """

    number: int
    input: str
    path: str
    target: str | None = None
    labels: Mapping[str, list[str]] = field(default_factory=dict)
    steps: tuple[tuple[str, Mapping[str, Any]], ...]
    cache_dir: str
    build_name: str
    working_directory: str
    timeout: float | None = None
    memory_limit: int | None = None
    disk_limit: int | None = None
    output_limit: int | None = None
    resume: bool = False
    retry: tuple[str, ...] = ()
    reuse: bool = True
    lean_cache: bool = False
    seed: int = 0
    verbose: bool = False
    environment: Mapping[str, str] = field(default_factory=dict)
    scratch: str | None = None
    slurm_log: str | None = None
    memory_group: str | None = None

    @property
    def sequence(self) -> Sequence:
        return Sequence(self.steps)

    @property
    def absolute_path(self) -> Path:
        return Path(os.path.abspath(os.path.join(self.working_directory, self.path)))

    @property
    def paths(self) -> BuildPaths:
        """Names of the files of its build."""
        return BuildPaths(Path(self.cache_dir), self.build_name)

    @property
    def group(self) -> MemoryGroup | None:
        """The control group that keeps its memory limit, if one could be had."""
        return MemoryGroup(Path(self.memory_group)) if self.memory_group is not None else None

    @property
    def started_event(self) -> Event:
        """What is told when work on it begins."""
        return Event(kind="input-started", input=self.input, build_name=self.build_name, planned=self.sequence.names)

    def note(self, text: str) -> Event:
        """Something that the user should know of it."""
        return Event(kind="note", input=self.input, build_name=self.build_name, text=text)

    def to_json(self) -> str:
        return json.dumps({"version": VERSION, **asdict(self)}, indent=1) + "\n"


def read_work_item(path: Path) -> WorkItem:
    """Read a work item.

    Raises:
        ArtifactError: the file is missing, too large, of another version, or not a work item.
    """
    try:
        with open(path, "rb") as file:
            fields = json.loads(file.read(_LARGEST_BYTES))
        version = fields.pop("version")
        if version != VERSION:
            raise ArtifactError(f"the work item has version {version}, not {VERSION}", evidence=str(path))
        fields["steps"] = tuple((tool, arguments) for tool, arguments in fields["steps"])
        fields["retry"] = tuple(fields.get("retry", ()))
        return WorkItem(**fields)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ArtifactError("this is not a work item", evidence=f"{path}: {error}") from error


def environment_that_matters() -> dict[str, str]:
    """The variables of this process that a worker elsewhere must see."""
    return {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
