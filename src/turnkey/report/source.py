"""What a report is made of: the builds of some caches, and what of them could not be read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from turnkey.errors import InputError, TurnkeyError
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_lock import settled
from turnkey.pipeline.build_name import build_names, is_cache
from turnkey.pipeline.state import State, Variant
from turnkey.pipeline.state_file import load_state
from turnkey.pipeline.statistics import read_statistics


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportedBuild:
    """One build as its files say.

    Attributes:
        statistics: of ``turnkey_stats.yaml``; empty where they could not be read.
        measurements: one entry per measured candidate, of the state file.
        chosen: key of the recommended candidate.
        verification: one entry per (variant, signature), of the state file.
        conversions: one entry per step of ``convert``, made or failed, of the state file.
        variants: stored forms of the model.
        labels: by key, as in the first line of a script.
    """

    cache_dir: Path
    name: str
    status: str
    statistics: Mapping[str, Any]
    measurements: tuple[Mapping[str, Any], ...] = ()
    chosen: str | None = None
    verification: tuple[Mapping[str, Any], ...] = ()
    conversions: tuple[Mapping[str, Any], ...] = ()
    variants: tuple[Variant, ...] = ()
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def paths(self) -> BuildPaths:
        return BuildPaths(self.cache_dir, self.name)

    def is_chosen(self, entry: Mapping[str, Any]) -> bool:
        """Whether a measurement is that of the recommended candidate."""
        return self.chosen is not None and entry.get("key") == self.chosen


@dataclass(frozen=True, slots=True, kw_only=True)
class Collected:
    """The builds, sorted by name, and an error per cache or file that could not be read."""

    builds: tuple[ReportedBuild, ...]
    unreadable: tuple[TurnkeyError, ...]


def collect(caches: Iterable[Path], *, only: Collection[str] | None = None) -> Collected:
    """Read all builds of these caches.

    Args:
        only: names of the builds wanted; None means all.
    """
    builds: list[ReportedBuild] = []
    unreadable: list[TurnkeyError] = []
    for cache_dir in dict.fromkeys(caches):
        try:
            names = _names(cache_dir)
        except TurnkeyError as error:
            unreadable.append(error)
            continue
        for name in names:
            if only is None or name in only:
                build, errors = read_build(BuildPaths(cache_dir, name))
                builds.append(build)
                unreadable.extend(errors)
    return Collected(builds=tuple(sorted(builds, key=lambda build: build.name)), unreadable=tuple(unreadable))


def _names(cache_dir: Path) -> tuple[str, ...]:
    if not is_cache(cache_dir):
        what = "is not a cache of Turnkey's" if cache_dir.is_dir() else "is not a directory"
        raise InputError(
            f"no report of {cache_dir}: it {what}",
            evidence=f"{cache_dir} has no .turnkeycache file" if cache_dir.is_dir() else str(cache_dir),
            remedy="turnkey report --input-caches DIR   # or: turnkey -d DIR report",
        )
    try:
        return build_names(cache_dir)
    except OSError as error:
        raise InputError(f"the cache {cache_dir} cannot be read", evidence=str(error)) from error


def read_build(paths: BuildPaths) -> tuple[ReportedBuild, list[TurnkeyError]]:
    """A build, as far as its files can be read: a broken state does not hide good statistics, nor the reverse."""
    errors: list[TurnkeyError] = []
    statistics: dict[str, Any] = {}
    try:
        statistics = read_statistics(paths)
    except TurnkeyError as error:
        errors.append(error)
    state = None
    if paths.state.is_file():
        try:
            state = load_state(state_path=paths.state)
        except TurnkeyError as error:
            # The statistics are read with the state: what is broken there was said above.
            if not errors:
                errors.append(error)
    status = str(statistics.get("build_status") or (state.build_status if state else "not_started"))
    return ReportedBuild(
        cache_dir=paths.cache_dir,
        name=paths.build_name,
        status=settled(status, paths),
        statistics=statistics,
        measurements=state.measurements if state else (),
        chosen=state.chosen if state else None,
        verification=state.verification if state else (),
        conversions=state.conversions if state else (),
        variants=state.variants if state else (),
        labels=state.labels if state else {},
    ), errors


def state_of(build: ReportedBuild) -> State:
    """The whole state of a build.

    Raises:
        InputError, ArtifactError: its file cannot be read.
    """
    return load_state(state_path=build.paths.state)


def titles(builds: Iterable[ReportedBuild]) -> tuple[str, ...]:
    """What each build is called in a report: its name, with that of its cache before it where several share one."""
    listed = list(builds)
    names = Counter(build.name for build in listed)
    return tuple(build.name if names[build.name] == 1 else f"{build.cache_dir.name}/{build.name}" for build in listed)
