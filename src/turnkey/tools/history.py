"""The tool ``history``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind


class History(Tool):
    """Keep the figures of measurements over time and show their trends.

    The records of the cache (or of the caches, builds and records given with --add) go into one local SQLite file,
    each once. Every model and candidate on one processor with one thread count is a series; a step is where its level
    changed for good, with the ratio of the levels and its interval. Equal names continue one series, whatever cache
    they come from; --prefix keeps models apart that are called the same. At the end of a sequence the builds of this
    call are added.
    """

    name = "history"
    kind = ToolKind.MANAGEMENT
    closing = True
    progress = "Adding to the history"
    reads = "state files and measurement records"
    writes = "history.sqlite in the cache directory; with --html a page in --output-dir"
    example = "turnkey history --add ~/nightly --label $(git rev-parse --short HEAD) --html"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--add",),
            arity=Arity.MANY,
            metavar="PATH",
            default_text="the global --cache-dir",
            help="Caches, builds or records to add.",
        ),
        Argument(
            flags=("--file",),
            metavar="FILE",
            default_text="history.sqlite in the cache directory",
            help="The history.",
        ),
        Argument(
            flags=("--label",), default="", metavar="TEXT", help="What new rows are called: a commit, a version."
        ),
        Argument(
            flags=("--prefix",),
            default="",
            metavar="TEXT",
            default_text="none",
            help="Stands before the name of every model that is added.",
        ),
        Argument(
            flags=("--models",),
            arity=Arity.MANY,
            default=(),
            metavar="NAME",
            default_text="all",
            help="Show only these.",
        ),
        Argument(flags=("--html",), arity=Arity.FLAG, default=False, help="Also write a page with a plot per series."),
        Argument(
            flags=("-o", "--output-dir"),
            metavar="DIR",
            default=".",
            default_text="the working directory",
            help="Where the page goes; made if it is missing.",
        ),
    )

    def manage(
        self,
        context: ManagementContext,
        add: Sequence[str] = (),
        file: str | None = None,
        label: str = "",
        prefix: str = "",
        models: Sequence[str] = (),
        html: bool = False,
        output_dir: str = ".",
        **arguments: Any,
    ) -> int:
        """Add, then show; 1 if a source could not be read."""
        import json
        from datetime import UTC, datetime

        from turnkey import settings
        from turnkey.errors import TurnkeyError
        from turnkey.report import history
        from turnkey.report.figure import count
        from turnkey.report.files import write_files
        from turnkey.report.measured import Side, of_builds, read_side
        from turnkey.report.source import collect
        from turnkey.report.terminal import print_table
        from turnkey.report.trend import trend_json, trend_page, trend_table, trends

        errors: list[TurnkeyError] = []
        sides: list[Side] = []
        caches = [settings.absolute_path(path) for path in context.cache_dirs or [context.cache_dir]]
        if context.build_names is not None:
            found = collect(caches, only=context.build_names)
            sides.append(of_builds(found.builds, label="this call", unreadable=found.unreadable))
        elif not add:
            sides += [read_side(path) for path in caches if (path / ".turnkeycache").is_file()]
        for path in add:
            try:
                sides.append(read_side(settings.absolute_path(path)))
            except TurnkeyError as error:
                errors.append(error)
        place = settings.absolute_path(file or settings.absolute_path(context.cache_dir) / "history.sqlite")
        kept = history.History(place)
        new = sum(kept.add(history.rows_of(side, label=label, prefix=prefix)) for side in sides)
        shown = trends(kept.rows(), models=models)
        files = {}
        if html:
            moment = datetime.now(UTC)
            page = trend_page(shown, title=f"Turnkey history, {moment:%Y-%m-%d}")
            made = write_files(settings.absolute_path(output_dir), {"history": page}, day=moment.date())
            files = {"html": made["history"]}
        if context.as_json:
            document = {"file": str(place), "added": new, "series": trend_json(shown)}
            print(json.dumps({**document, "files": {kind: str(path) for kind, path in files.items()}}))
        else:
            print(f"{place}: {count(new, 'new row')}")
            if shown:
                print_table(trend_table(shown))
            for written in files.values():
                print(written)
        errors += [error for side in sides for error in side.unreadable]
        for unreadable in errors:
            print(unreadable, file=sys.stderr)
        return 1 if errors else 0
