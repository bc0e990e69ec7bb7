"""The folder of one call, ``<cache>/.calls/<UTC time>-<6 hex>/``: what it was to do and what it did.

    call.json            inputs, sequence and options, as they were given
    items/<n>.json       work items: what a worker reads
    results/<n>.json     how each ended, with tracebacks
    logs/<n>.txt         what an isolated worker wrote outside of any tool
    template.txt         what the template of prewarmed workers wrote
    slurm/               scripts, logs (``%j_%t``), job ids and progress of Slurm jobs

A cache that cannot be written has no such folder; each input then fails with the reason.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from turnkey.errors import ArtifactError, InputError
from turnkey.launch.options import Options
from turnkey.launch.result import Result
from turnkey.launch.work_item import WorkItem
from turnkey.pipeline import durable
from turnkey.pipeline.build_name import open_cache
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.sequence import Sequence
from turnkey.version import __version__

_LARGEST_RESULT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CallFolder:
    """Names and files of one call."""

    directory: Path

    @classmethod
    def open(cls, options: Options, inputs: Iterable[str], sequence: Sequence | None) -> CallFolder:
        """Make the folder and say what the call is to do; where that cannot be written, inputs will tell."""
        moment = datetime.now(UTC)
        name = f"{moment.strftime('%Y-%m-%dT%H-%M-%SZ')}-{secrets.token_hex(3)}"
        folder = cls(directory=options.cache_dir / ".calls" / name)
        content = {
            "version": 1,
            "turnkey_version": __version__,
            "time": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "inputs": list(inputs),
            "sequence": plain(sequence.steps) if sequence else None,
            "options": plain(asdict(options)),
        }
        try:
            open_cache(options.cache_dir)
            durable.make_directory(folder.directory)
            durable.write_text(folder.directory / "call.json", json.dumps(content, indent=1) + "\n")
        except InputError:  # every input will fail with the same reason and say it
            return folder
        return folder

    def keep_item(self, item: WorkItem) -> Path:
        """Write a work item; returns its path. Raises InputError if it cannot be written."""
        path = self._path("items", item.number, "json")
        durable.write_text(path, item.to_json())
        return path

    def keep_result(self, number: int, result: Result) -> None:
        """Write how an input ended; on a full disk the build's own files and the exit code have to do."""
        try:
            durable.write_text(self._path("results", number, "json"), result.to_json())
        except InputError:
            return

    def log(self, number: int) -> Path:
        """Where an isolated worker writes outside of tools."""
        return self._path("logs", number, "txt")

    @property
    def template_log(self) -> Path:
        """What the template of prewarmed workers writes."""
        return self.directory / "template.txt"

    @property
    def slurm(self) -> Path:
        """Where submitit and Slurm keep their files."""
        return self.directory / "slurm"

    def job_log(self, job: str) -> Path:
        """What a Slurm job of this call writes outside of tools; ``job`` is its id."""
        return self.slurm / f"{job}_0_log.out"

    def progress(self, number: int) -> Path:
        """What the Slurm job of an item tells while it works."""
        return self.slurm / "progress" / f"{number}.jsonl"

    def item(self, number: int) -> Path:
        """A work item, once it was kept."""
        return self.directory / "items" / f"{number}.json"

    def ended(self) -> frozenset[int]:
        """Numbers of the items whose results are there: one look at a folder, however many items there are."""
        with suppress(OSError):  # no input has ended yet
            names = (Path(name) for name in os.listdir(self.directory / "results"))
            return frozenset(int(name.stem) for name in names if name.suffix == ".json" and name.stem.isdecimal())
        return frozenset()

    def read_result(self, number: int) -> Result | None:
        """How an input ended, as its job wrote it; None if it has not ended yet.

        Raises:
            ArtifactError: the file is no result.
        """
        path = self.directory / "results" / f"{number}.json"
        try:
            with open(path, "rb") as file:
                content = file.read(_LARGEST_RESULT_BYTES)
        except FileNotFoundError:
            return None
        try:
            return Result.from_dict(json.loads(content))
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ArtifactError("this is not the result of an input", evidence=f"{path}: {error}") from error

    def _path(self, folder: str, number: int, suffix: str) -> Path:
        durable.make_directory(self.directory / folder)
        return self.directory / folder / f"{number}.{suffix}"
