"""The tool ``report``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

_FORMATS = ("csv", "html", "json", "md")


class Report(Tool):
    """Report on builds: a table on the terminal, and files for spreadsheets and programs.

    One CSV file has one row per build with all of its statistics, a second one per measured candidate, and where
    something failed a third has the errors, grouped. --html adds a page to look at: one file with tables to sort and
    filter and plots, which loads nothing from anywhere. Files are named after the day and never replace older ones.
    At the end of a sequence the report is of the builds of this call.
    """

    name = "report"
    kind = ToolKind.MANAGEMENT
    closing = True
    progress = "Reporting"
    reads = "turnkey_stats.yaml and the state file of each build"
    writes = "<day>.csv, <day>-measurements.csv, errors-<day>.csv; <day>.html, <day>.json and <day>.md if asked for"
    example = "turnkey report -i ~/first_cache ~/second_cache -o reports --html"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("-i", "--input-caches"),
            arity=Arity.MANY,
            metavar="DIR",
            default_text="the global --cache-dir",
            help="Caches whose builds are reported.",
        ),
        Argument(
            flags=("-o", "--output-dir"),
            metavar="DIR",
            default=".",
            default_text="the working directory",
            help="Where the files go; made if it is missing.",
        ),
        Argument(
            flags=("--format",),
            arity=Arity.MANY,
            dest="formats",
            choices=_FORMATS,
            default=("csv",),
            default_text="csv",
            help="Formats of the files.",
        ),
        Argument(
            flags=("--html",),
            arity=Arity.FLAG,
            default=False,
            help="Also write one self-contained HTML page.",
        ),
        Argument(
            flags=("--from",),
            arity=Arity.MANY,
            metavar="RECORD",
            dest="records",
            help="Instead of builds: measurement records (runs/<id>.zip), every number recomputed from their samples.",
        ),
    )

    def manage(
        self,
        context: ManagementContext,
        input_caches: Sequence[str] | None = None,
        output_dir: str = ".",
        formats: Sequence[str] = ("csv",),
        records: Sequence[str] | None = None,
        html: bool = False,
        **arguments: Any,
    ) -> int:
        """Write the files and print the table; 1 if a cache or a build could not be read."""
        from turnkey import settings
        from turnkey.report import print_table, write_record_page, write_report

        if records:
            from turnkey.tools.record_listing import print_records

            paths = [settings.absolute_path(path) for path in records]
            print_records(paths, as_json=context.as_json)
            if html or "html" in formats:
                page = write_record_page(paths, settings.absolute_path(output_dir))
                print(page, file=sys.stderr if context.as_json else sys.stdout)
            return 0

        caches = [settings.absolute_path(path) for path in input_caches or context.cache_dirs or [context.cache_dir]]
        report = write_report(
            caches,
            settings.absolute_path(output_dir),
            formats=tuple(dict.fromkeys([*formats, "html"] if html else formats)),
            only=None if input_caches else context.build_names,
        )
        if context.as_json:
            import json

            files = {kind: str(path) for kind, path in report.files.items()}
            print(json.dumps({**report.content, "files": files}, default=str))
        else:
            if not context.quiet:
                print_table(report.overview)
                print(*report.remedies, sep="\n", end="\n" if report.remedies else "")
            for path in report.files.values():
                print(path)
        for error in report.unreadable:
            print(error, file=sys.stderr)
        return 1 if report.unreadable else 0
