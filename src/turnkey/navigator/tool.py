"""The tool ``package``."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.quantity import positive_count, positive_number
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind
from turnkey.tools.measuring_arguments import EFFORTS

_GOALS = ("strategy", "latency_budget")
_RUNNERS = ("target_formats", "target_device", "runners", "batch_sizes", "threads", "output")
TAKES = {
    "optimize": (*_RUNNERS, "sample_count", "effort", "workspace", "plan", "override"),
    "profile": (*_RUNNERS, "max_batch_size"),
    "select": _GOALS,
    "save": ("output", "override"),
    "serve": (*_GOALS, "repository", "model_name", "warmup", "override"),
    "show": (),
    "verify": (),
    "reproduce": ("all",),
}
"""Which options each action acts on; others are refused."""


def _option(flag: str, help: str, **fields: Any) -> Argument:
    """An option whose help says for which actions it is."""
    made = Argument(flags=(flag,), help=help, **fields)
    actions = ", ".join(action for action, keys in TAKES.items() if made.key in keys)
    return replace(made, help=f"{actions}: {help}")


class PackageTool(Tool):
    """Make a package with optimize, choose from it, serve it, check it on this machine, or measure its claim again.

    optimize does what a recipe says (a YAML file that equals a call of turnkey.optimize), or optimises a package
    again with other targets; --plan only says what would be made, compared and profiled. profile measures a package's
    runners again; select names the best one by a strategy; save writes a workspace to one file; serve writes the best
    model that Triton can execute into a model repository. show lists what is inside. verify runs every model on the
    samples inside and compares with the stored reference outputs. reproduce measures the best result again and
    compares its interval with the recorded one. A package whose bytes are not those of its manifest is refused.
    """

    name = "package"
    kind = ToolKind.MANAGEMENT
    reads = "a recipe (.yaml), a package archive (.nav) or its workspace"
    writes = "optimize: the workspace; save, serve, --output: what they name"
    example = "turnkey package verify resnet.nav\nturnkey package optimize recipe.yaml --output net.nav"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("action",), metavar="ACTION", choices=tuple(TAKES), help="What to do."),
        Argument(flags=("file",), metavar="FILE", help="The recipe, the package or its workspace."),
        _option(
            "--target-formats",
            "formats to make, or to profile.",
            arity=Arity.MANY,
            metavar="FORMAT",
            default_text="the recipe's or package's",
        ),
        _option(
            "--target-device",
            "where runners run.",
            choices=("cpu", "cuda"),
            default_text="the recipe's or package's",
        ),
        _option("--runners", "runners by name.", arity=Arity.MANY, metavar="NAME", default_text="all of the device"),
        _option(
            "--batch-sizes",
            "batch sizes to profile.",
            arity=Arity.MANY,
            parse=positive_count,
            metavar="N",
            default_text="the recipe's; 1, 2, 4, …",
        ),
        _option(
            "--max-batch-size",
            "largest batch size.",
            parse=positive_count,
            metavar="N",
            default_text="until throughput stops growing",
        ),
        _option(
            "--sample-count",
            "samples that are compared; not for packages, whose samples are in them.",
            parse=positive_count,
            metavar="N",
            default_text="the recipe's",
        ),
        _option(
            "--threads",
            "threads of every runner.",
            parse=positive_count,
            metavar="N",
            default_text="the recipe's or package's, else the processor cores that this process may use",
        ),
        _option("--effort", "of each measurement.", choices=EFFORTS, default_text="the recipe's or package's"),
        _option(
            "--workspace",
            "directory of the run; a killed one goes on in it.",
            metavar="DIR",
            default_text="the recipe's, else navigator_workspace; a package's name",
        ),
        _option(
            "--strategy",
            "what the best one is best at.",
            choices=("min-latency", "max-throughput", "max-throughput-and-min-latency"),
            default_text="the last, then the first",
        ),
        _option(
            "--latency-budget",
            "the largest throughput within so many milliseconds.",
            parse=positive_number,
            metavar="MS",
            default_text="none",
        ),
        _option("--repository", "the model repository.", metavar="DIR", default_text="none"),
        _option("--model-name", "name of the served model.", metavar="NAME", default_text="the file's name"),
        _option("--output", "the package (.nav); the results of profile (YAML).", metavar="FILE", default_text="none"),
        _option("--plan", "only say what would be done.", arity=Arity.FLAG, default=False),
        _option("--warmup", "send warm-up requests.", arity=Arity.FLAG, default=False),
        _option("--override", "replace a file or version that is there.", arity=Arity.FLAG, default=False),
        _option("--all", "every result that has a file, not only the best.", arity=Arity.FLAG, default=False),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it. The exit code is 1 where an output is wrong, a result was not reproduced, or nothing was made.

        Raises:
            UsageError: an option that the action does not act on.
        """
        import json
        from pathlib import Path

        from turnkey.navigator import package_steps

        action = arguments["action"]
        given = [each for each in self.arguments if not each.is_positional and arguments.get(each.key)]
        odd = [each.flags[0] for each in given if each.key not in TAKES[action]]
        if odd:
            raise UsageError(f"package {action} does not act on {', '.join(odd)}", remedy="turnkey package --help")
        told = package_steps.STEPS[action](Path(arguments["file"]), arguments)
        print(json.dumps(told.document, indent=1, default=str) if context.as_json else "\n".join(told.lines))
        return 1 if told.failed else 0
