"""The tool ``package``."""

from __future__ import annotations

from typing import Any, ClassVar

from turnkey.pipeline.quantity import positive_count, positive_number
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind
from turnkey.tools.measuring_arguments import threads

STEPS = ("optimize", "profile", "select", "save", "serve")
CHECKS = ("show", "verify", "reproduce")


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
        Argument(
            flags=("action",), metavar="ACTION", choices=(*STEPS, *CHECKS), help=", ".join((*STEPS, *CHECKS)) + "."
        ),
        Argument(flags=("file",), metavar="FILE", help="The recipe, the package or its workspace."),
        Argument(
            flags=("--target-formats",),
            arity=Arity.MANY,
            metavar="FORMAT",
            default_text="the recipe's",
            help="optimize, profile: formats to make, or to profile.",
        ),
        Argument(
            flags=("--target-device",),
            choices=("cpu", "cuda"),
            default_text="the recipe's",
            help="optimize, profile: where runners run.",
        ),
        Argument(
            flags=("--runners",),
            arity=Arity.MANY,
            metavar="NAME",
            default_text="all of the device",
            help="optimize, profile: runners by name.",
        ),
        Argument(
            flags=("--batch-sizes",),
            arity=Arity.MANY,
            parse=positive_count,
            metavar="N",
            default_text="the recipe's",
            help="optimize, profile: batch sizes to profile.",
        ),
        Argument(
            flags=("--max-batch-size",),
            parse=positive_count,
            metavar="N",
            default_text="until throughput stops growing",
            help="profile: largest batch size.",
        ),
        Argument(
            flags=("--sample-count",),
            parse=positive_count,
            metavar="N",
            default_text="the recipe's",
            help="optimize: samples that are compared.",
        ),
        threads("optimize: threads of every runner."),
        Argument(
            flags=("--workspace",),
            metavar="DIR",
            default_text="the recipe's, else navigator_workspace",
            help="optimize: directory of the run; a killed one goes on in it.",
        ),
        Argument(
            flags=("--strategy",),
            choices=("min-latency", "max-throughput", "max-throughput-and-min-latency"),
            default_text="the last, then the first",
            help="select, serve: what the best one is best at.",
        ),
        Argument(
            flags=("--latency-budget",),
            parse=positive_number,
            metavar="MS",
            default_text="none",
            help="select, serve: the largest throughput within so many milliseconds.",
        ),
        Argument(flags=("--repository",), metavar="DIR", default_text="none", help="serve: the model repository."),
        Argument(
            flags=("--model-name",),
            metavar="NAME",
            default_text="the file's name",
            help="serve: name of the served model.",
        ),
        Argument(
            flags=("--output",),
            metavar="FILE",
            default_text="none",
            help="optimize, save: the package (.nav); profile: the results as YAML.",
        ),
        Argument(flags=("--plan",), arity=Arity.FLAG, default=False, help="optimize: only say what would be done."),
        Argument(flags=("--warmup",), arity=Arity.FLAG, default=False, help="serve: send warm-up requests."),
        Argument(
            flags=("--override",),
            arity=Arity.FLAG,
            default=False,
            help="optimize, save, serve: replace a file or version that is there.",
        ),
        Argument(
            flags=("--all",),
            arity=Arity.FLAG,
            default=False,
            help="reproduce: every result that has a file, not only the best.",
        ),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it. The exit code is 1 where an output is wrong, a result was not reproduced, or nothing was made."""
        import json
        from pathlib import Path

        path = Path(arguments["file"])
        if arguments["action"] in STEPS:
            from turnkey.navigator import package_steps

            told = getattr(package_steps, arguments["action"])(path, arguments)
            print(json.dumps(told.document, indent=1, default=str) if context.as_json else "\n".join(told.lines))
            return 1 if told.failed else 0
        if arguments["action"] == "show":
            text, facts = _shown(path)
            print(json.dumps(facts, indent=1) if context.as_json else text)
            return 0
        if arguments["action"] == "verify":
            from turnkey.navigator.self_check import verify_package

            checked = verify_package(path)
            lines = [f"{each.key}: {each.outcome}" + _behind(each.max_abs, each.reason) for each in checked]
            entries = [each.to_dict() for each in checked]
            failed = any(each.outcome == "invalid" for each in checked)
            nothing = not any(each.outcome == "valid" for each in checked)
            if nothing and not failed:
                lines.append("nothing of this package could be checked here")
            failed = failed or nothing
        else:
            from turnkey.navigator.self_check import reproduce_package

            found = reproduce_package(path, every=bool(arguments.get("all")))
            lines = [f"{each.key}, batch {each.batch_size}: {each.outcome}: {_compared(each)}" for each in found]
            entries = [each.to_dict() for each in found]
            failed = any(each.outcome != "reproduced" for each in found)
        print(json.dumps(entries, indent=1) if context.as_json else "\n".join(lines))
        return 1 if failed else 0


def _shown(path: Any) -> tuple[str, dict[str, Any]]:
    import tempfile
    from pathlib import Path

    from turnkey.navigator.package_archive import load
    from turnkey.navigator.status_file import status_document

    with tempfile.TemporaryDirectory(prefix="turnkey-package-") as scratch:
        package = load(path, workspace=Path(scratch) / "package")
        return package.summary(), status_document(package.status)


def _behind(max_abs: float | None, reason: str) -> str:
    words = "" if max_abs is None else f", largest difference {max_abs:.2g}"
    return f"{words}: {reason}" if reason else words


def _compared(each: Any) -> str:
    def text(numbers: Any) -> str:
        middle, low, high = numbers
        return f"{middle:.4g} ms" + (f" [{low:.4g}, {high:.4g}]" if low is not None and high is not None else "")

    words = f"{text(each.found)}, recorded {text(each.recorded)}"
    return f"{words}; {each.reason}" if each.reason else words
