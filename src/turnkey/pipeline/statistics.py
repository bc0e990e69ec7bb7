"""The statistics file of a build: flat, plain YAML, of the latest run; earlier ones are kept in ``history/``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from turnkey.pipeline import durable, plain_yaml
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.plain_data import plain

_ERROR_LOG_FIRST = 5
_ERROR_LOG_LAST = 30


def write_statistics(paths: BuildPaths, statistics: Mapping[str, Any]) -> None:
    """Replace the statistics file, atomically. Raises InputError if it cannot be written."""
    durable.write_text(paths.statistics, plain_yaml.dump(plain(dict(statistics))))


def read_statistics(paths: BuildPaths) -> dict[str, Any]:
    """The statistics of the latest run; empty where there are none.

    Raises:
        InputError, ArtifactError: the file cannot be read, or is not plain YAML.
    """
    if not paths.statistics.exists():
        return {}
    return plain_yaml.read(paths.statistics).data


def archive_statistics(paths: BuildPaths) -> None:
    """Move the statistics of the run before into the history, named by the time of its last write (UTC)."""
    if not paths.statistics.exists():
        return
    durable.make_directory(paths.history)
    written = datetime.fromtimestamp(paths.statistics.stat().st_mtime, UTC)
    target = _free_name(paths.history, written.strftime("%Y-%m-%dT%H-%M-%SZ"))
    try:
        os.replace(paths.statistics, target)
    except OSError as error:
        raise durable.cannot_write(target, error) from error


def now() -> str:
    """This moment as the files say it: UTC, ISO-8601, seconds."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def error_excerpt(text: str) -> str:
    """The first 5 and last 30 lines of an error or log, with what lies between counted."""
    lines = text.splitlines()
    left_out = len(lines) - _ERROR_LOG_FIRST - _ERROR_LOG_LAST
    if left_out <= 0:
        return "\n".join(lines)
    return "\n".join([*lines[:_ERROR_LOG_FIRST], f"... {left_out} lines ...", *lines[-_ERROR_LOG_LAST:]])


def _free_name(directory: Path, stem: str) -> Path:
    target = directory / f"{stem}.yaml"
    number = 2
    while target.exists():
        target = directory / f"{stem}-{number}.yaml"
        number += 1
    return target
