"""The tool ``package``."""

from __future__ import annotations

from typing import Any, ClassVar

from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

ACTIONS = ("show", "verify", "reproduce")


class PackageTool(Tool):
    """Show a package that optimize made, check it on this machine, or measure its claim again.

    verify runs every model of the package on the samples inside and compares with the stored reference outputs.
    reproduce measures the best result again and compares its interval with the recorded one. Both refuse a package
    whose bytes are not those of its manifest. Nothing is written beside a scratch directory.
    """

    name = "package"
    kind = ToolKind.MANAGEMENT
    reads = "a package archive (.nav)"
    example = "turnkey package verify resnet.nav"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("action",), metavar="ACTION", choices=ACTIONS, help="show, verify or reproduce"),
        Argument(flags=("file",), metavar="FILE", help="the package"),
        Argument(
            flags=("--all",),
            arity=Arity.FLAG,
            default=False,
            help="reproduce: every result that has a file, not only the best",
        ),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it. The exit code is 1 where an output is wrong or a result was not reproduced."""
        import json
        from pathlib import Path

        path = Path(arguments["file"])
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
