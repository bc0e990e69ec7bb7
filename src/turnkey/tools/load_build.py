"""The tool ``load-build``."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.skip_policy import POLICIES, decide
from turnkey.pipeline.tool import Argument, Steps, Tool, ToolKind, ToolSkipped

if TYPE_CHECKING:
    from turnkey.pipeline.state import State


class LoadBuild(Tool):
    """Continue a build of the cache, where it lies: the tools that follow are appended to its sequence.

    A build whose model was only in memory (discover alone) runs its script again, with the stored hash and arguments;
    files that have changed since are named. Nothing of a build that is skipped is touched.
    """

    name = "load-build"
    kind = ToolKind.FIRST
    continues = True
    progress = "Loading build"
    reads = "<cache>/<build>/<build>_state.yaml and what it names"
    writes = "nothing of its own; later tools write into the same build"
    example = "turnkey -i ~/.cache/turnkey/linear/linear_state.yaml load-build optimize-ort"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("--skip-policy",),
            help="which builds to pass over: those on which the same tools were attempted, failed or were successful; "
            "attempted and failed also pass over builds that are not successful",
            default="attempted",
            choices=POLICIES,
        ),
    )

    def begin(self, state: State, *, following: Steps, **arguments: Any) -> State:
        """The state of the build, or `ToolSkipped` by the skip policy."""
        from turnkey.pipeline.state_file import load_state

        path = Path(os.path.abspath(arguments["input"]))
        if os.path.realpath(path.parent) != os.path.realpath(state.build_dir):
            raise UsageError(
                "load-build continues a build where it lies",
                evidence=f"state of {state.build_dir}, file {path}",
                remedy=f"turnkey -i {path} load-build ...; in Python "
                f"State({str(path.parent.parent)!r}, {path.parent.name!r})",
            )
        loaded = load_state(state_path=path)
        decision = decide(
            build_status=loaded.build_status,
            history=loaded.history,
            following=following,
            policy=arguments.get("skip_policy") or "attempted",
        )
        if not decision.runs:
            raise ToolSkipped(decision.reason)
        return replace(loaded, listing=decision.warning)

    def run(self, state: State, **arguments: Any) -> State:
        """Bring the model back if it was only in memory.

        Raises:
            InputError: the script is gone.
            TurnkeyError: the script fails now.
        """
        from turnkey.pipeline.revival import changes, is_from_script, revived

        notes = [state.listing] if state.listing else []
        notes.extend(f"changed since this build was made: {path}" for path in changes(state))
        if not state.variants and is_from_script(state):
            state = revived(state)
        return replace(state, listing="\n".join(notes))
