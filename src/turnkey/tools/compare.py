"""The tool ``compare``."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

if TYPE_CHECKING:
    from pathlib import Path

_ALLOWED = ("processor", "inputs", "objective", "threads", "samples", "device", "runtime_version")
_FORMATS = ("md", "html", "json")


class Compare(Tool):
    """Compare measurements: caches, builds, records (runs/<id>.zip), packages or .lexer files, each with the first.

    Only what was measured under the same conditions gets a verdict: same processor, threads, device, versions of the
    runtimes and inputs. Otherwise the answer is "not comparable" with what differs; --allow says which of it may
    differ. Verdicts between measurements of different times are wide, and INVALID where something disturbed either;
    for a check that must not cry wolf use gate, which measures both together. At the end of a sequence the builds of
    this call are the last thing compared.
    """

    name = "compare"
    kind = ToolKind.MANAGEMENT
    closing = True
    progress = "Comparing"
    reads = "state files and measurement records"
    writes = "with --output-dir the comparison as Markdown, HTML or JSON"
    example = "turnkey compare ~/before ~/after\nturnkey compare old/runs/1.zip new/runs/1.zip --allow runtime_version"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("sources",),
            arity=Arity.MANY,
            metavar="PATH",
            help="What is compared; every further one with the first.",
        ),
        Argument(
            flags=("--allow",),
            arity=Arity.MANY,
            choices=_ALLOWED,
            default=(),
            default_text="none",
            metavar="FACT",
            help="Facts that may differ.",
        ),
        Argument(
            flags=("-o", "--output-dir"),
            metavar="DIR",
            default_text="no files",
            help="Where the files go; made if it is missing.",
        ),
        Argument(
            flags=("--format",),
            arity=Arity.MANY,
            dest="formats",
            choices=_FORMATS,
            default=("md",),
            default_text="md",
            help="Formats of the files.",
        ),
    )

    def manage(
        self,
        context: ManagementContext,
        sources: Sequence[str] = (),
        allow: Sequence[str] = (),
        output_dir: str | None = None,
        formats: Sequence[str] = ("md",),
        **arguments: Any,
    ) -> int:
        """Print the comparison; 1 if a source could not be read, or nothing could be compared."""
        from dataclasses import replace

        from turnkey import settings
        from turnkey.report.comparison import compare
        from turnkey.report.comparison_files import write_comparison
        from turnkey.report.comparison_view import comparison_json, comparison_table, sentence
        from turnkey.report.measured import of_builds, read_side
        from turnkey.report.source import collect
        from turnkey.report.terminal import print_table

        paths = [settings.absolute_path(path) for path in sources]
        sides = [read_side(path) for path in paths]
        if len({side.label for side in sides}) < len(sides):
            sides = [replace(side, label=str(path)) for side, path in zip(sides, paths, strict=True)]
        if context.build_names is not None:
            found = collect([settings.absolute_path(path) for path in context.cache_dirs], only=context.build_names)
            sides.append(of_builds(found.builds, label="this call", unreadable=found.unreadable))
        comparisons = compare(sides, allowed=frozenset(allow))
        files: Mapping[str, Path] = {}
        if output_dir is not None:
            files = write_comparison(comparisons, settings.absolute_path(output_dir), formats=formats)
        if context.as_json:
            import json

            document = {
                "comparisons": [comparison_json(comparison) for comparison in comparisons],
                "files": {kind: str(path) for kind, path in files.items()},
            }
            print(json.dumps(document, default=str))
        else:
            for comparison in comparisons:
                print(sentence(comparison))
                print_table(comparison_table(comparison))
            for path in files.values():
                print(path)
        unreadable = [error for side in sides for error in side.unreadable]
        for error in unreadable:
            print(error, file=sys.stderr)
        is_any = any(pair.base and pair.other for comparison in comparisons for pair in comparison.pairs)
        return 1 if unreadable or not is_any else 0
