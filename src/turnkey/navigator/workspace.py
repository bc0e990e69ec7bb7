"""The workspace: a directory that keeps one run of `optimize`, so that a killed one continues. Owns its file names.

It is a build like any other of Turnkey's: marker, lock and state file are the pipeline's, and
``turnkey -i WORKSPACE/*_state.yaml`` works on it. A directory without our marker is never touched, and one that holds
another run is never deleted unasked.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from turnkey.errors import InputError
from turnkey.navigator.exceptions import ConfigurationError
from turnkey.pipeline import durable
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import hold
from turnkey.settings import absolute_path

DEFAULT_NAME = "navigator_workspace"
_MARK = "turnkey.navigator"


@dataclass(frozen=True, slots=True)
class Workspace:
    """Names of the files of one workspace.

    Attributes:
        path: absolute.
    """

    path: Path

    @property
    def build(self) -> BuildPaths:
        """The same directory as the pipeline sees it."""
        return BuildPaths(self.path.parent, self.path.name)

    @property
    def status(self) -> Path:
        return self.path / "status.yaml"

    @property
    def log(self) -> Path:
        return self.path / "navigator.log"

    @property
    def inputs(self) -> Path:
        return self.path / "model_input"

    @property
    def outputs(self) -> Path:
        return self.path / "model_output"

    @property
    def samples(self) -> Path:
        """Whole samples, one directory per combination of shapes or batch size."""
        return self.path / "samples"

    @property
    def records(self) -> Path:
        return self.path / "runs"

    def fresh_records(self) -> Path:
        """A directory of records that nothing was measured into: who asks again gets a measurement, not a memory."""
        number = 2
        while (found := self.records / str(number)).exists():
            number += 1
        return found

    def model(self, key: str) -> Path:
        """Directory of one model."""
        return self.path / key

    def command_log(self, key: str, command: str, runner: str = "") -> Path:
        """``<key>/format.log`` of an export or conversion, else ``<key>/<command>-<runner>.log``."""
        name = f"{command.lower()}-{runner}" if runner else "format"
        return self.model(key) / f"{name}.log"

    def relative(self, path: Path) -> str:
        return path.relative_to(self.path).as_posix()

    @contextmanager
    def held(self, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Hold the lock while working on it; waits for another process that does, of which `on_wait` is told."""
        with hold(self.build, on_wait=on_wait):
            yield


def is_ours(path: Path) -> bool:
    """Whether a directory carries the marker of a workspace."""
    try:
        fields = json.loads(BuildPaths(path.parent, path.name).marker.read_text(encoding="utf-8")[:10_000])
    except (OSError, ValueError):
        return False
    return isinstance(fields, dict) and fields.get("source") == _MARK


def claim(given: str | Path | None, *, is_same_run: Callable[[Workspace], bool], override: bool = False) -> Workspace:
    """The workspace of a call: a new directory, or the one of the same run that is to be continued.

    Args:
        given: None is ``./navigator_workspace``, or ``-2``, ``-3`` … where that holds another run.
        is_same_run: whether a workspace of ours holds this very run.
        override: replace a workspace of ours that holds another run.

    Raises:
        ConfigurationError: the directory is not ours, or holds another run.
        InputError: it cannot be written.
    """
    path = absolute_path(DEFAULT_NAME if given is None else given)
    if not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]*", path.name):
        raise ConfigurationError(
            "a workspace needs a plain name",
            evidence=f"{path.name!r}: letters, digits, '.', '_' and '-', not beginning with a dot",
        )
    workspace = Workspace(path)
    if _is_free(path) and _made(workspace):
        return workspace
    if not is_ours(path):
        raise ConfigurationError(
            "the workspace is a directory of something else, which stays as it is",
            evidence=str(path),
            remedy="choose another directory: workspace=…",
        )
    if is_same_run(workspace):
        return workspace
    if override:
        with workspace.held():
            _empty(workspace)
        return workspace
    if given is not None:
        raise ConfigurationError(
            "the workspace holds another run, which stays as it is",
            evidence=str(path),
            remedy="choose another directory: workspace=…   # or replace it: override_workspace=True",
        )
    number = 2
    while True:
        further = Workspace(path.with_name(f"{path.name}-{number}"))
        if _is_free(further.path) and _made(further):
            return further
        if is_ours(further.path) and is_same_run(further):
            return further
        number += 1


def new_workspace(given: str | Path | None, *, beside: Path) -> Workspace:
    """An empty workspace for a package that is loaded; by default named after the archive, beside nothing of ours.

    Raises:
        InputError: the directory exists and is not empty.
    """
    if given is None:
        stem = re.sub(r"[^A-Za-z0-9._-]", "_", beside.stem).lstrip(".") or DEFAULT_NAME
        path = absolute_path(stem)
        number = 2
        while not (_is_free(path) and _made(Workspace(path))):
            path = path.with_name(f"{stem}-{number}")
            number += 1
        return Workspace(path)
    path = absolute_path(given)
    if not (_is_free(path) and _made(Workspace(path))):
        raise InputError(
            "the workspace exists already, and stays as it is",
            evidence=str(path),
            remedy="choose another directory: workspace=…",
        )
    return Workspace(path)


def _is_free(path: Path) -> bool:
    return not path.exists() or (path.is_dir() and not any(path.iterdir()))


def _made(workspace: Workspace) -> bool:
    """Make the directory with its marker, at once: no other process sees it without. False where one was first."""
    path, marker = workspace.path, workspace.build.marker
    text = json.dumps({"source": _MARK}) + "\n"
    if path.exists():  # an empty directory of the user's, which stays the same one
        durable.write_text(marker, text)
        return True
    fresh = path.with_name(f".{path.name}.{os.urandom(4).hex()}.tmp")
    durable.make_directory(fresh)
    durable.write_text(fresh / marker.name, text)
    try:
        os.rename(fresh, path)
    except OSError as error:
        shutil.rmtree(fresh)
        if not path.exists():
            raise durable.cannot_write(path, error) from error
        return False
    return True


def _empty(workspace: Workspace) -> None:
    """Remove the content of a workspace of ours but marker and lock; links are removed, not followed."""
    for entry in workspace.path.iterdir():
        if entry in (workspace.build.marker, workspace.build.lock):
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()


def remove(workspace: Workspace) -> None:
    """Delete a workspace of ours, as its owner asked."""
    if is_ours(workspace.path):
        shutil.rmtree(workspace.path)
