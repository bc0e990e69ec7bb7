"""The tool ``lexer``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Tool, ToolKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from turnkey.lexer.comparison import Difference

ACTIONS = ("show", "diff", "verify", "merge")


class LexerFiles(Tool):
    """Look into .lexer artifacts: show what they hold, compare, verify or merge them.

    show prints metadata, members and results. diff compares every further file with the first, engine by engine; a
    verdict is given where both were measured under the same conditions, and claims differences beyond 10 % only.
    verify checks the recorded digests, then runs each ONNX file on the samples that it was validated with; the exit
    code is 1 if anything is wrong. merge writes one artifact with the rows, runs and models of several. Artifacts of
    the original software are read too.
    """

    name = "lexer"
    kind = ToolKind.MANAGEMENT
    reads = ".lexer artifacts"
    example = (
        "turnkey lexer show benchmark.lexer\nturnkey lexer diff before.lexer after.lexer\n"
        "turnkey lexer merge a.lexer b.lexer -o both.lexer"
    )
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("action",), choices=ACTIONS, metavar="|".join(ACTIONS), help="What to do with the files."),
        Argument(flags=("files",), arity=Arity.MANY, metavar="FILE", help="The artifacts."),
        Argument(flags=("-o", "--output"), metavar="FILE", help="What merge writes; it must not exist."),
    )

    def manage(self, context: ManagementContext, **arguments: Any) -> int:
        """Do it; 1 if ``verify`` finds something wrong.

        Raises:
            UsageError: an unknown action, too few files, or an output where there is none or none where there is one.
            InputError, ArtifactError: a file cannot be read.
        """
        action, files = str(arguments["action"]), list(arguments.get("files") or ())
        if action not in ACTIONS:
            raise UsageError(f"lexer cannot {action!r}", evidence=f"actions: {', '.join(ACTIONS)}")
        least = 2 if action in ("diff", "merge") else 1
        if len(files) < least:
            raise UsageError(
                f"lexer {action} wants {'two files or more' if least == 2 else 'a file'}",
                remedy=f"turnkey lexer {action} a.lexer" + (" b.lexer" if least == 2 else ""),
            )
        output = arguments.get("output")
        if (action == "merge") != bool(output):
            raise UsageError(
                "lexer merge wants to know where to write" if action == "merge" else f"lexer {action} writes no file",
                evidence=f"--output {output or 'is not given'}",
                remedy="turnkey lexer merge a.lexer b.lexer -o both.lexer",
            )
        if output:
            content, text, code = _merge(files, str(output))
        else:
            content, text, code = {"show": _show, "diff": _diff, "verify": _verify}[action](files)
        if context.as_json:
            import json

            print(json.dumps(content, indent=2, default=str))
        else:
            print(text)
        return code


Outcome = tuple[Any, str, int]
"""What ``--json`` prints, what a reader sees, and the exit code."""


def _show(files: Sequence[str]) -> Outcome:
    from turnkey.lexer.artifact import load

    artifacts = [load(file) for file in files]
    return [each.to_dict() for each in artifacts], "\n\n".join(map(str, artifacts)), 0


def _diff(files: Sequence[str]) -> Outcome:
    from turnkey.lexer.artifact import load
    from turnkey.lexer.comparison import compare
    from turnkey.lexer.table import plain_table
    from turnkey.pipeline.printable import printable

    first, *others = [load(file) for file in files]
    content, texts = [], []
    for other in others:
        found = compare(first, other)
        content.append(
            {"before": str(first.path), "after": str(other.path), "differences": [d.to_dict() for d in found]}
        )
        rows = [
            [
                each.class_name,
                each.engine,
                *_point(each),
                *("–" if row is None else f"{row.mean_ms:.4g}" for row in (each.before, each.after)),
                each.words,
            ]
            for each in found
        ]
        table = plain_table(
            ["class", "engine", "inputs", "batch", "threads", "first ms", "second ms", "second against first"], rows
        )
        remarks = dict.fromkeys(remark for each in found for remark in each.remarks)
        texts.append("\n".join([f"{first.path.name} and {other.path.name}", table, *remarks]))
    return content, printable("\n\n".join(texts), keep="\n"), 0


def _merge(files: Sequence[str], output: str) -> Outcome:
    from turnkey.lexer.merging import merge

    merged = merge(files, output)
    return merged.to_dict(), f"{merged}\nwrote {merged.path}", 0


def _point(difference: Difference) -> list[str]:
    """What the second was measured with, or the first where there is no second."""
    row = difference.after or difference.before
    assert row is not None, "one side has a row"
    return [row.inputs or "–", str(row.batch_size), "–" if row.threads is None else str(row.threads)]


def _verify(files: Sequence[str]) -> Outcome:
    from turnkey.lexer.artifact import load
    from turnkey.pipeline.printable import printable

    content, lines, wrong = [], [], False
    for file in files:
        artifact = load(file)
        damaged, found = artifact.damaged(), artifact.verify()
        digests = "wrong: " + ", ".join(damaged) if damaged else "right" if artifact.files else "none recorded"
        content.append(
            {"path": str(artifact.path), "damaged": list(damaged), "models": [each.to_dict() for each in found]}
        )
        lines += [f"{artifact.path.name}: digests {digests}", *(f"  {each}" for each in found)]
        if not found:
            lines.append("  no ONNX file to verify")
        wrong = wrong or bool(damaged) or any(each.is_wrong for each in found)
    return content, printable("\n".join(lines), keep="\n"), int(wrong)
