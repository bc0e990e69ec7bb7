"""The tool ``tune-mlf``."""

from __future__ import annotations

from typing import Any, ClassVar

from turnkey.pipeline.tool import Argument, ManagementContext, Tool, ToolKind
from turnkey.tools.measuring_arguments import effort


class TuneMlf(Tool):
    """Choose the tiles of a Model Library Format tarball's kernels by measuring them on this host.

    Each kernel that can be made with tiles of several sizes is timed with all of them. Those that are faster than the
    usual one beyond the interval are taken, and the tarball is written again: compiled, verified, with the choice
    recorded. Where nothing is gained it stays as it is. The C code of the tarball is compiled and run, which runs the
    code of whoever made it.
    """

    name = "tune-mlf"
    kind = ToolKind.MANAGEMENT
    reads = "a tarball"
    writes = "the tarball, with tiles for this host"
    example = "turnkey tune-mlf kws.tar\nturnkey tune-mlf kws.tar --effort standard -o kws-tuned.tar"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("file",), metavar="FILE", help="the tarball"),
        Argument(flags=("-o", "--output"), metavar="FILE", default_text="FILE", help="what is written"),
        effort("of each comparison: in this process, or in several fresh ones", default="quick"),
        Argument(flags=("--cc",), metavar="COMMAND", default_text="$CC or cc", help="C compiler"),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it.

        Raises:
            UsageError: a tarball that cannot be tuned.
            InputError, ArtifactError: the file cannot be read.
            VerificationError: the tuned code computes something else; nothing was written.
        """
        import json
        import sys
        from dataclasses import asdict

        from turnkey.mlf.tuning import tune

        tuned = tune(
            arguments["file"],
            output=arguments.get("output"),
            effort=arguments.get("effort") or "quick",
            cc=arguments.get("cc"),
            listen=lambda text: print(text, file=sys.stderr if context.as_json else sys.stdout, flush=True),
        )
        if context.as_json:
            print(json.dumps(asdict(tuned), indent=2, default=str))
        else:
            for choices in tuned.choices.values():
                print("\n".join(f"  {choice}" for choice in choices))
        return 0
