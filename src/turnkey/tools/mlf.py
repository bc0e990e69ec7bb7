"""The tool ``mlf``."""

from __future__ import annotations

from typing import Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, ManagementContext, Tool, ToolKind

ACTIONS = ("tune",)


class MlfFiles(Tool):
    """Work on a Model Library Format tarball that was written before.

    tune times each kernel that can be made with tiles of several sizes on this host, takes those that are faster than
    the usual ones beyond the interval, and writes the tarball again: compiled, verified, with the choice recorded.
    Where nothing is gained it stays as it is. The C code of the tarball is compiled and run, which runs the code of
    whoever made it.
    """

    name = "mlf"
    kind = ToolKind.MANAGEMENT
    reads = "a tarball"
    writes = "the tarball, with tiles for this host"
    example = "turnkey mlf tune kws.tar\nturnkey mlf tune kws.tar --effort standard -o kws-tuned.tar"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("action",), choices=ACTIONS, metavar="|".join(ACTIONS), help="What to do with the tarball."),
        Argument(flags=("file",), metavar="FILE", help="The tarball."),
        Argument(flags=("-o", "--output"), metavar="FILE", default_text="FILE", help="What is written."),
        Argument(
            flags=("--effort",),
            default="quick",
            choices=("quick", "standard", "rigorous"),
            help="of each comparison: in this process, or in several fresh ones",
        ),
        Argument(flags=("--cc",), metavar="COMMAND", default_text="$CC or cc", help="C compiler"),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it.

        Raises:
            UsageError: an unknown action, or a tarball that cannot be tuned.
            InputError, ArtifactError: the file cannot be read.
            VerificationError: the tuned code computes something else; nothing was written.
        """
        import json
        import sys
        from dataclasses import asdict

        from turnkey.mlf.tuning import tune

        if arguments["action"] not in ACTIONS:
            raise UsageError(f"mlf cannot {arguments['action']!r}", evidence=f"actions: {', '.join(ACTIONS)}")
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
