"""The tool ``show-mlf``."""

from __future__ import annotations

from typing import Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind


class ShowMlf(Tool):
    """Show what a Model Library Format tarball holds and how much memory of each kind it needs.

    Nothing of the tarball is compiled or run. Its files are checked against the sums that it records.
    """

    name = "show-mlf"
    kind = ToolKind.MANAGEMENT
    reads = "a tarball, or the directory it was unpacked to"
    example = "turnkey show-mlf kws.tar"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("file",), metavar="FILE", help="the tarball"),
        Argument(flags=("--all",), arity=Arity.FLAG, default=False, help="every buffer of the plan, however many"),
        Argument(flags=("--files",), arity=Arity.FLAG, default=False, help="list the files too"),
        Argument(flags=("--picture",), metavar="FILE", help="write the memory plan as a picture: .svg or .html"),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        import json
        from pathlib import Path

        from turnkey.mlf.library import load
        from turnkey.mlf.picture import write_picture
        from turnkey.mlf.table import library_facts, library_table
        from turnkey.pipeline.printable import printable

        library = load(arguments["file"])
        if context.as_json:
            print(json.dumps(library_facts(library), indent=2))
        else:
            print(printable(library_table(library, every_step=bool(arguments.get("all"))), keep="\n"))
            if arguments.get("files"):
                print("\n".join(f"  {len(library.archive.files[path]):>10}  {path}" for path in library.files))
        if arguments.get("picture"):
            write_picture(library, Path(arguments["picture"]))
        return 0
