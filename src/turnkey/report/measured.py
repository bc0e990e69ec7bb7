"""Things whose measurements can be compared: caches, builds, records, packages. One small interface over all of them.

A source is read into a `Side`: what it is called, and one `Measured` per (model, candidate). What kind of source a
path is, is told from what lies there, never from its name alone. `READERS` lists the kinds in the order in which they
are tried; a further kind is one more function.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, TurnkeyError
from turnkey.measure import Record
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_name import is_cache
from turnkey.report import packaged
from turnkey.report.entry import figures_of
from turnkey.report.source import ReportedBuild, collect, read_build


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """One candidate of one model.

    Attributes:
        model: name of its build; of a bare record its file's stem.
        candidate: its key.
        entry: figures as the state keeps them: ``latency_ms``, ``size_bytes`` …
        record: with the samples; None where it is gone, and then there is no verdict.
        record_sha256: of the record's bytes where it was read out of a package; empty where its file says it.
        facts: of the build, for what can be compared without measuring: operations, verification.
    """

    model: str
    candidate: str
    entry: Mapping[str, Any]
    record: Record | None
    record_sha256: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """One source.

    Attributes:
        label: how it is called in tables.
        package: name of the package whose records these are, which are called after batch sizes only; else empty.
        unreadable: an error per part that could not be read.
    """

    label: str
    items: tuple[Measured, ...]
    package: str = ""
    unreadable: tuple[TurnkeyError, ...] = ()


Reader = Callable[[Path], "Side | None"]


def read_side(path: Path) -> Side:
    """Read a source.

    Raises:
        InputError: there is nothing, or nothing that holds measurements.
        ArtifactError: it is corrupt or hostile.
    """
    for reader in READERS:
        side = reader(path)
        if side is not None:
            return side
    raise InputError(
        f"{path.name} holds no measurements that can be compared",
        evidence=f"{path}: {_nothing(path)}",
        remedy="name a cache, a build directory, a record (runs/<id>.zip), a package or a .lexer file",
    )


def of_builds(builds: tuple[ReportedBuild, ...], *, label: str, unreadable: tuple[TurnkeyError, ...] = ()) -> Side:
    """The measured candidates of these builds."""
    items: list[Measured] = []
    errors = list(unreadable)
    for build in builds:
        records: dict[str, Record | None] = {}
        for entry in build.measurements:
            name = str(entry.get("record") or "")
            if name and name not in records:
                try:
                    records[name] = Record.load(build.paths.directory / name)
                except TurnkeyError as error:
                    records[name] = None
                    errors.append(error)
            items.append(
                Measured(
                    model=build.name,
                    candidate=str(entry.get("key")),
                    entry=entry,
                    record=records.get(name),
                    facts=build.statistics,
                )
            )
    return Side(label=label, items=tuple(items), unreadable=tuple(errors))


def of_record(record: Record, *, model: str, sha256: str = "") -> tuple[Measured, ...]:
    """The candidates of a record by itself: figures are computed from its samples.

    Args:
        sha256: of its bytes, where it has no file of its own.
    """
    found = []
    for key in record.keys:
        summary = record.summary(key)
        entry: dict[str, Any] = {
            "key": key,
            "variant": summary.facts.get("variant"),
            "runtime": summary.facts.get("runtime"),
            **figures_of(record, key),
            "error": None if summary.error is None else summary.error.get("what"),
        }
        found.append(Measured(model=model, candidate=key, entry=entry, record=record, record_sha256=sha256))
    return tuple(found)


def _cache(path: Path) -> Side | None:
    if not is_cache(path):
        return None
    found = collect([path])
    return of_builds(found.builds, label=_label(path), unreadable=found.unreadable)


def _build(path: Path) -> Side | None:
    paths = BuildPaths(path.parent, path.name)
    if not paths.marker.is_file():
        return None
    build, errors = read_build(paths)
    return of_builds((build,), label=_label(path), unreadable=tuple(errors))


def _record(path: Path) -> Side | None:
    if not (path / "run.json").is_file() and not packaged.members(path) >= _RECORD_MEMBERS:
        return None
    model = path.parents[1].name if path.parent.name == "runs" else path.name.partition(".")[0]
    return Side(label=_label(path), items=of_record(Record.load(path), model=model))


def _package(path: Path) -> Side | None:
    """A package that carries records, else the result tables of a ``.lexer`` artifact."""
    names = packaged.members(path)
    if any(name.endswith(".zip") for name in names):
        records, errors = packaged.read_records(path)
        items = [
            item
            for name, found in records.items()
            for item in of_record(found.record, model=name, sha256=found.sha256)
        ]
        if items:
            return Side(label=_label(path), items=tuple(items), package=path.stem, unreadable=errors)
    if any(name.endswith(".csv") and "/" not in name for name in names):
        rows = packaged.read_results(path)
        items = [Measured(model=model, candidate=key, entry=entry, record=None) for model, key, entry in rows]
        return Side(label=_label(path), items=tuple(items))
    return None


def _label(path: Path) -> str:
    return path.name or str(path)


def _nothing(path: Path) -> str:
    if not path.exists():
        return "there is no such file or directory"
    return "a directory without the marker of a cache or build" if path.is_dir() else "neither a record nor a package"


_RECORD_MEMBERS = {"run.json", "samples.jsonl"}
READERS: tuple[Reader, ...] = (_cache, _build, _record, _package)
