"""The tool ``cache``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from turnkey.errors import InputError, TurnkeyError, UsageError
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

if TYPE_CHECKING:
    from turnkey.pipeline.build import BuildPaths


_COMPILED = "mlf-builds"
"""Libraries compiled from tarballs: they may lie in a cache that has had no build yet, and so no marker."""


class Cache(Tool):
    """List, show, clean or delete builds of the cache.

    Works in the directory of the global --cache-dir, and only there where a marker says that it is a cache of
    Turnkey's. --clean removes artifacts and keeps logs, .json and .yaml files and measurement records. --delete
    removes whole build directories, and only those that bear the marker of a build. Without arguments all builds are
    listed.
    """

    name = "cache"
    kind = ToolKind.MANAGEMENT
    arguments = (
        Argument(
            flags=("-b", "--build-names"),
            arity=Arity.MANY,
            metavar="NAME",
            help="builds to work on",
        ),
        Argument(flags=("-a", "--all"), arity=Arity.FLAG, default=False, dest="all_builds", help="work on all builds"),
        Argument(
            flags=("-l", "--list"), arity=Arity.FLAG, default=False, dest="list_builds", help="list names and status"
        ),
        Argument(flags=("-s", "--stats"), arity=Arity.FLAG, default=False, help="print the statistics"),
        Argument(flags=("--clean",), arity=Arity.FLAG, default=False, help="remove the artifacts"),
        Argument(flags=("--delete",), arity=Arity.FLAG, default=False, help="remove the build directories"),
    )
    reads = "the build directories of the cache"
    writes = "nothing; with --clean or --delete it removes files"
    example = "turnkey -d ~/my_cache cache --list\nturnkey cache --clean -b bert resnet50"

    def manage(
        self,
        context: ManagementContext,
        build_names: Sequence[str] = (),
        all_builds: bool = False,
        list_builds: bool = False,
        stats: bool = False,
        clean: bool = False,
        delete: bool = False,
        **arguments: Any,
    ) -> int:
        chosen = [
            flag
            for flag, given in (
                ("--list", list_builds),
                ("--stats", stats),
                ("--clean", clean),
                ("--delete", delete),
            )
            if given
        ]
        if len(chosen) > 1:
            raise UsageError(f"{' and '.join(chosen)} exclude each other", remedy=f"turnkey cache {chosen[0]}")
        if build_names and all_builds:
            raise UsageError("--build-names and --all exclude each other", remedy="leave one of them out")
        if (clean or delete) and not (build_names or all_builds):
            raise UsageError(
                f"{chosen[0]} needs the builds to work on",
                remedy=f"turnkey cache {chosen[0]} --all   # or: --build-names NAME …",
            )
        builds = _builds(context, build_names)
        if stats:
            return _show_statistics(context, builds)
        if clean or delete:
            return _remove(context, builds, whole=delete)
        return _list(context, builds)


def _builds(context: ManagementContext, names: Sequence[str]) -> list[BuildPaths]:
    from pathlib import Path

    from turnkey.pipeline.build import BuildPaths
    from turnkey.pipeline.build_name import build_names, is_cache

    cache_dir = Path(context.cache_dir)
    is_filled = cache_dir.exists() and (
        not cache_dir.is_dir() or any(entry.name != _COMPILED for entry in cache_dir.iterdir())
    )
    if is_filled and not is_cache(cache_dir):
        raise InputError(
            f"{cache_dir} is not a cache of Turnkey's",
            evidence="it has no .turnkeycache file",
            remedy="turnkey -d DIR cache   # names the cache",
        )
    known = build_names(cache_dir)
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no build {name!r}",
                evidence=f"builds in {cache_dir}: {', '.join(known) or 'none'}",
                remedy="turnkey cache --list",
            )
    return [BuildPaths(cache_dir, name) for name in (dict.fromkeys(names) or known)]


def _list(context: ManagementContext, builds: Sequence[BuildPaths]) -> int:
    rows = [(paths.build_name, _status(paths), _size_bytes(paths)) for paths in builds]
    if context.as_json:
        _print_json(
            {
                "cache_dir": context.cache_dir,
                "builds": [{"name": name, "status": status, "size_bytes": size} for name, status, size in rows],
            }
        )
        return 0
    from turnkey.pipeline.quantity import size_text

    width = max((len(name) for name, _, _ in rows), default=0)
    for name, status, size in rows:
        print(f"{name:<{width}}  {status:<10}  {size_text(size):>10}")
    print(f"{len(rows)} builds in {context.cache_dir}")
    return 0


def _show_statistics(context: ManagementContext, builds: Sequence[BuildPaths]) -> int:
    from turnkey.pipeline import plain_yaml
    from turnkey.pipeline.statistics import read_statistics

    found: dict[str, Any] = {}
    failed = 0
    for paths in builds:
        try:
            found[paths.build_name] = read_statistics(paths)
        except TurnkeyError as error:  # the others are shown all the same
            found[paths.build_name] = {"error": error.to_dict()}
            failed = 1
    if context.as_json:
        _print_json({"cache_dir": context.cache_dir, "builds": found})
    else:
        print(plain_yaml.dump(found) if found else f"0 builds in {context.cache_dir}")
    return failed


def _remove(context: ManagementContext, builds: Sequence[BuildPaths], *, whole: bool) -> int:
    """Clean or delete; a build that another process works on stays, and the exit code says so."""
    from turnkey.pipeline.build_lock import hold, is_held
    from turnkey.pipeline.build_name import remove_build
    from turnkey.pipeline.lean_cache import remove_artifacts

    done: list[str] = []
    refused: dict[str, str] = {}
    for paths in builds:
        if is_held(paths):
            refused[paths.build_name] = "another process works on it"
            continue
        try:
            with hold(paths):
                if whole:
                    remove_build(paths)
                else:
                    remove_artifacts(paths)
        except TurnkeyError as error:
            refused[paths.build_name] = f"{error.what} ({error.evidence})"
        else:
            done.append(paths.build_name)
    verb = "deleted" if whole else "cleaned"
    if context.as_json:
        _print_json({"cache_dir": context.cache_dir, verb: done, "refused": refused})
    else:
        for name in done:
            print(f"{verb} {name}")
        for name, reason in refused.items():
            print(f"not {verb}: {name}: {reason}")
    return 1 if refused else 0


def _status(paths: BuildPaths) -> str:
    from turnkey.pipeline.build_lock import settled
    from turnkey.pipeline.statistics import read_statistics

    try:
        return settled(str(read_statistics(paths).get("build_status", "not_started")), paths)
    except TurnkeyError:
        return "unreadable"


def _size_bytes(paths: BuildPaths) -> int:
    return sum(path.lstat().st_size for path in paths.directory.rglob("*") if path.is_file() and not path.is_symlink())


def _print_json(value: dict[str, Any]) -> None:
    import json

    print(json.dumps(value, indent=2))
