"""The record's files: a directory while it grows, a zip when finished.

``run.json`` is replaced atomically after every round; ``samples.jsonl`` grows by one line per slice, flushed when it
ends. What follows the last complete round is dropped when an experiment resumes, so a file that was cut at any byte
costs at most one round.

Schema versions of ``run.json`` (readers accept all of them):
    1  the first: schema, tool, utc, seed, settings, environment, variants, rounds, looks, verdicts, validity, notes
    2  slices may have ``device``, spans have ``gpu_…`` and ``limit_khz``, records of load shapes
       ``utc``, ``processes`` and ``spans``, a process may be lost because it was ``crowded``, and tell its
       ``inputs``: optional.
       Numbers of rounds are medians over passes (`turnkey.measure.units`); those of schema 1 stay the means that the
       verdicts in it rest on.

Limits: ``run.json`` 64 MiB, ``samples.jsonl`` 2 GiB, no other member is read; unknown schemas are refused.
"""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from turnkey.errors import ArtifactError, InputError
from turnkey.measure.slices import Slice
from turnkey.whole_file import whole_file

SCHEMA = 2
RUN, SAMPLES, LOGS = "run.json", "samples.jsonl", "logs"
_LARGEST = {RUN: 64 << 20, SAMPLES: 2 << 30}
_PARTS = {
    "variants": {"key", "status", "threads"},
    "rounds": {"r", "cycle", "passes", "slices", "processes", "spans"},
    "looks": {"k", "n", "last_round", "leaves"},
}
"""Lists of a comparison's ``run.json`` and what every entry of them has."""
_FIXED_TIME = (1980, 1, 1, 0, 0, 0)


class Journal:
    """What grows while an experiment runs.

    Args:
        path: of the finished zip; the directory that grows stands beside it, without the suffix. None keeps
            everything in memory only.
    """

    def __init__(self, path: Path | None) -> None:
        self.path = path
        self.directory = None if path is None else growing_directory(path)
        self.run: dict[str, Any] = {}
        self.slices: list[Slice] = []
        self._samples: IO[str] | None = None

    @property
    def logs(self) -> Path | None:
        return None if self.directory is None else self.directory / LOGS

    def begin(self, run: Mapping[str, Any]) -> None:
        """Start a new record; an earlier, unfinished one in its place is replaced."""
        self.run = dict(run)
        if self.directory is not None:
            if self.directory.exists():
                _remove_record(self.directory)
            self.directory.mkdir(parents=True, exist_ok=True)
            self._samples = (self.directory / SAMPLES).open("w", encoding="utf-8")
        self.save()

    def resume(self, run: Mapping[str, Any], slices: list[Slice]) -> None:
        """Go on from the complete rounds of an unfinished record: what follows them is cut off."""
        self.run = dict(run)
        self.slices = slices
        if self.directory is not None:
            text = "".join(_line(item) for item in slices)
            _replace(self.directory / SAMPLES, text)
            self._samples = (self.directory / SAMPLES).open("a", encoding="utf-8")

    def add(self, item: Slice) -> None:
        self.slices.append(item)
        if self._samples is not None:
            self._samples.write(_line(item))
            self._samples.flush()

    def save(self) -> None:
        """Write ``run.json``: atomically, after every round."""
        if self.directory is not None:
            if self._samples is not None:
                self._samples.flush()
                os.fsync(self._samples.fileno())
            _replace(self.directory / RUN, json.dumps(self.run, indent=1, allow_nan=False))

    def close(self) -> None:
        if self._samples is not None:
            self._samples.close()
            self._samples = None

    def finish(self, *, keep_logs: frozenset[str]) -> None:
        """Pack the directory into the zip and remove it; only logs named in ``keep_logs`` are kept."""
        self.save()
        self.close()
        if self.directory is None or self.path is None:
            return
        members = {name: (self.directory / name).read_bytes() for name in (RUN, SAMPLES)}
        logs = self.directory / LOGS
        for log in sorted(logs.iterdir()) if logs.is_dir() else ():
            if log.name in keep_logs and log.stat().st_size:
                members[f"{LOGS}/{log.name}"] = log.read_bytes()
        write_zip(self.path, members)
        _remove_record(self.directory)


def growing_directory(path: Path) -> Path:
    """Where the record of ``path`` grows."""
    return path.with_name(path.name.removesuffix(".zip") + ".growing")


def write_zip(path: Path, members: Mapping[str, bytes]) -> None:
    """A zip whose bytes depend on its content only: sorted names, fixed times; written atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as unfinished, zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(name, _FIXED_TIME)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = 0o644 << 16
            archive.writestr(info, members[name])


def read(path: Path, *, with_slices: bool = True) -> tuple[dict[str, Any], list[Slice]]:
    """Run and slices of a record: a zip, a directory that grows, or the zip's name while only that exists.

    Args:
        with_slices: False leaves the list of slices empty, for who needs nothing that is computed from them.

    Raises:
        InputError: there is nothing at ``path``.
        ArtifactError: it is no record, or of an unknown schema. A last line that was cut is no error.
    """
    place = path if path.exists() else growing_directory(path)
    if place.is_dir():
        texts = {name: _bounded(place / name) for name in (RUN, SAMPLES)}
    elif place.is_file():
        texts = _unzip(place)
    else:
        raise InputError("there is no record", evidence=str(path), remedy="run benchmark first")
    try:
        run = json.loads(texts[RUN], parse_constant=_refuse)
    except ValueError as error:
        raise ArtifactError("run.json of a record cannot be read", evidence=f"{place}: {error}") from error
    if not isinstance(run, dict) or run.get("schema") not in range(1, SCHEMA + 1):
        raise ArtifactError(
            "a record of another schema",
            evidence=f"{place}: schema {run.get('schema') if isinstance(run, dict) else None!r}",
            remedy="use the version of Turnkey that wrote it, or a newer one",
        )
    slices = list(_slices(texts[SAMPLES], where=str(place))) if with_slices else []
    _check_shape(run, place)
    return run, slices


def _check_shape(run: Mapping[str, Any], place: Path) -> None:
    """The parts that every view of a comparison relies on; a record of a load shape has no rounds and other parts.

    Raises:
        ArtifactError: one is missing or of another kind.
    """
    if "rounds" not in run:
        return
    wrong = [name for name in ("settings", "environment") if not isinstance(run.get(name), dict)]
    for name, keys in _PARTS.items():
        entries = run.get(name)
        if not isinstance(entries, list) or not all(isinstance(e, dict) and keys <= e.keys() for e in entries):
            wrong.append(name)
    if wrong:
        raise ArtifactError("a record is incomplete or damaged", evidence=f"{place}: run.json, {', '.join(wrong)}")


def complete_rounds(run: dict[str, Any], slices: list[Slice]) -> tuple[dict[str, Any], list[Slice]]:
    """The part of an unfinished record that can be continued: its rounds whose slices are all there."""
    counts = Counter(item.r for item in slices)
    kept: list[Any] = []
    for entry in run.get("rounds", []):
        if entry["slices"] != counts[entry["r"]]:
            break
        kept.append(entry)
    numbers = {entry["r"] for entry in kept} | {0}
    last = max(numbers)
    calibrated = run.get("calibration_slices") == counts[0]
    looks = [look for look in run.get("looks", []) if look["last_round"] <= last]
    if not calibrated:
        numbers, kept, looks = set(), [], []
    return {**run, "rounds": kept, "looks": looks}, [item for item in slices if item.r in numbers]


def complete_trials(run: dict[str, Any], slices: list[Slice]) -> tuple[dict[str, Any], list[Slice]]:
    """The part of an unfinished record of a load that can be continued: its trials whose slices are all there."""
    counts = Counter(item.p for item in slices)
    kept: list[Any] = []
    for number, trial in enumerate(run["trials"]):
        if counts[number] != (trial["clients"] or 1):  # a slice of each client, or one
            break
        kept.append(trial)
    return {**run, "trials": kept, "spans": run["spans"][: len(kept)]}, [item for item in slices if item.p < len(kept)]


def _slices(text: bytes, *, where: str) -> Iterator[Slice]:
    lines = text.split(b"\n")
    for number, line in enumerate(lines, 1):
        is_last = number == len(lines)
        if not line:
            continue
        if is_last:  # no line feed: cut while it was written
            return
        try:
            fields = json.loads(line, parse_constant=_refuse)
        except ValueError as error:
            raise ArtifactError("a line of the samples is no JSON", evidence=f"{where}:{number}: {error}") from error
        yield Slice.from_json(fields, where=f"{where}: {SAMPLES} line {number}")


def _unzip(path: Path) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(path) as archive:
            texts = {}
            for name, limit in _LARGEST.items():
                if archive.getinfo(name).file_size > limit:
                    raise ArtifactError(f"{name} is larger than a record's may be", evidence=str(path))
                texts[name] = archive.read(name)
            return texts
    except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError) as error:
        raise ArtifactError("this is no record of a measurement", evidence=f"{path}: {error}") from error


def _bounded(path: Path) -> bytes:
    try:
        if path.stat().st_size > _LARGEST[path.name]:
            raise ArtifactError(f"{path.name} is larger than a record's may be", evidence=str(path))
        return path.read_bytes()
    except OSError as error:
        raise ArtifactError("a record misses a file", evidence=str(error)) from error


def _line(item: Slice) -> str:
    return json.dumps(item.to_json(), separators=(",", ":"), allow_nan=False) + "\n"


def _replace(path: Path, text: str) -> None:
    with whole_file(path) as unfinished:
        unfinished.write_text(text, encoding="utf-8")


def _remove_record(directory: Path) -> None:
    """Remove a growing record: only what a journal writes, never a directory of something else."""
    unfinished = {entry for name in (RUN, SAMPLES) for entry in directory.glob(f".{name}.*.tmp")}
    ours = {directory / name for name in (RUN, SAMPLES, LOGS)} | unfinished
    strangers = sorted(entry.name for entry in directory.iterdir() if entry not in ours)
    if strangers:
        raise InputError(
            "a directory in the place of the record holds other files",
            evidence=f"{directory}: {', '.join(strangers[:5])}",
            remedy="move them away, or give another path",
        )
    shutil.rmtree(directory)


def _refuse(name: str) -> float:
    raise ValueError(f"{name} is forbidden in a record")
