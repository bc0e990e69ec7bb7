"""The first tool for Python scripts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey.errors import InputError
from turnkey.pipeline.quantity import positive_count, size_bytes, whole_number
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind, ToolSkipped

if TYPE_CHECKING:
    from turnkey.discovery import Visit
    from turnkey.pipeline.state import State


_SAID_LINES = 12
"""Of what a script printed, shown where it ended without an exception."""


class Discover(Tool):
    """Run a Python script as it is and see every PyTorch model in it, with its real inputs.

    The whole script runs, with your rights. Each model gets a hash of what it computes; one model is handed on to
    the next tool: the one named as SCRIPT.py::HASH, else the last one discovered that has parameters.
    """

    name = "discover"
    kind = ToolKind.FIRST
    progress = "Discovering models in the script"
    reads = "a Python script"
    writes = "samples/: the inputs that the script really used"
    example = 'turnkey -i my_script.py discover --script-args "--batch_size 8" --max-depth 1'
    arguments = (
        Argument(
            flags=("--script-args",),
            metavar="STR",
            default="",
            default_text="none",
            help="arguments of the script, as one text",
        ),
        Argument(
            flags=("--max-depth",),
            metavar="N",
            parse=whole_number,
            default=0,
            help="list models called inside models too, nested at most N deep",
        ),
        Argument(
            flags=("--all",),
            arity=Arity.FLAG,
            default=False,
            help="make a build of every top-level model with parameters, named <script>_<hash>",
        ),
        Argument(
            flags=("--samples",),
            metavar="N",
            parse=positive_count,
            default=16,
            help="captured inputs kept per signature",
        ),
        Argument(
            flags=("--sample-bytes",),
            metavar="SIZE",
            parse=size_bytes,
            default=256 << 20,
            default_text="256MiB",
            help="size of all captured inputs; the first of each signature is always kept",
        ),
        Argument(
            flags=("--keep-bytes",),
            metavar="SIZE",
            parse=size_bytes,
            default_text="a quarter of free memory",
            help="size of models kept alive; beyond it the oldest are listed without hash",
        ),
        Argument(
            flags=("--allow-script-failure",),
            arity=Arity.FLAG,
            default=False,
            help="go on with the models seen before the script failed",
        ),
        Argument(
            flags=("--compiled",),
            choices=("run", "eager"),
            default="run",
            help="run torch.compile as the script asks, or switch it off to see models inside compiled functions",
        ),
    )

    @classmethod
    def needs_turn(cls, **arguments: Any) -> bool:
        """Where the script can be read and is Python."""
        import warnings

        path = Path(str(arguments["input"]).partition("::")[0])
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the script's own run shows them
                compile(path.read_bytes(), str(path), "exec", dont_inherit=True)
        except (SyntaxError, ValueError, OSError):
            return False
        return True

    def run(self, state: State, **arguments: Any) -> State:
        """Run the script; arguments as on the command line, with ``input`` the path and ``target`` a hash.

        Raises:
            InputError: the script cannot be read, or has no model of that hash.
            ModelError: the script failed, no model was found, or the chosen one cannot be called again.

        The script's ``__main__`` stays, also after an error, until `turnkey.discovery.let_go`, which is called at the
        end of each input.
        """
        from turnkey import discovery

        values = {argument.key: argument.default for argument in self.arguments} | arguments
        visit = discovery.visit(
            str(values["input"]),
            script_args=values["script_args"] or "",
            options=discovery.DiscoveryOptions(
                max_depth=values["max_depth"],
                sample_count=values["samples"],
                sample_bytes=values["sample_bytes"],
                keep_bytes=values["keep_bytes"],
                compiled=values["compiled"],
            ),
        )
        return self._hand_on(
            state, visit, target=values.get("target"), allow_script_failure=values["allow_script_failure"]
        )

    def _hand_on(self, state: State, visit: Visit, *, target: str | None, allow_script_failure: bool) -> State:
        from turnkey.discovery import script_failed
        from turnkey.pipeline.build import BuildPaths
        from turnkey.pipeline.capture import log_tail

        exit_code = visit.outcome.exit_code
        if exit_code and not (allow_script_failure and visit.listing.models):
            said = log_tail(BuildPaths(state.cache_dir, state.build_name).log(self.name), lines=_SAID_LINES)
            error = script_failed(visit, said=said)
            error.state = replace(state, listing=str(visit.listing) if visit.listing.models else "").with_statistics(
                script_exit_code=exit_code
            )
            raise error from visit.outcome.error
        if not visit.listing.models and not visit.uses_torch:
            raise ToolSkipped("no model: the script never loaded torch.nn")
        try:
            model = visit.select(target, build_dir=str(state.build_dir))
        except InputError:
            print(f"\n{visit.listing}")
            raise
        entry = visit.listing.selected
        assert entry is not None
        self._write_samples(state, model.samples)
        return replace(
            state,
            model=model,
            listing=str(visit.listing),
            input={**state.input, "imported": _digests(visit.imported_files)},
            model_hash=model.model_hash,
            weights_hash=model.weights_hash,
            expected_input_shapes={spec.name: spec.shape for spec in entry.inputs},
            expected_input_dtypes={spec.name: spec.dtype for spec in entry.inputs},
            expected_output_names=tuple(spec.name for spec in entry.outputs),
        ).with_statistics(
            **{
                "model_name": Path(visit.listing.path).stem,
                "class": entry.class_name,
                "hash": entry.hash,
                "selected_invocation_hash": entry.hash,
                "hash_basis": entry.hash_basis,
                "weights_hash": model.weights_hash,
                "parameters": entry.parameter_count,
                "script_exit_code": exit_code,
                "training_mode_seen": entry.training_mode_seen,
            }
        )

    def _write_samples(self, state: State, samples: Any) -> None:
        from turnkey.model.samples import write_samples
        from turnkey.pipeline.build import BuildPaths

        if samples.structure.is_portable:
            write_samples(samples, BuildPaths(state.cache_dir, state.build_name).samples)


def _digests(files: tuple[str, ...]) -> dict[str, str]:
    from turnkey.pipeline.source_file import digests

    return digests(files)
