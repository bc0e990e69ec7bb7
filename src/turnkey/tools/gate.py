"""The tool ``gate``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from turnkey import settings
from turnkey.errors import TurnkeyError, UsageError
from turnkey.pipeline.quantity import percentage, positive_number
from turnkey.pipeline.tool import Argument, Arity, ManagementContext, Steps, Tool, ToolKind
from turnkey.tools.candidate_arguments import parse_runtime
from turnkey.tools.measuring_arguments import threads

if TYPE_CHECKING:
    from pathlib import Path

    from turnkey.report.gate.check import GateInput

_METRICS = ("size", "nodes", "flops", "memory", "output")
_EFFORTS = ("standard", "rigorous")
_ONLY_MEASURE = ("benchmark", "profile", "explain", "lexer-benchmark")
"""Tools of a sequence that make nothing which is shipped; quantize and optimize measure too, but decide what is."""


class Gate(Tool):
    """Check that a change makes nothing slower: two revisions measured together on this machine.

    Both revisions are checked out beside each other, built by the same tools, and measured in one interleaved
    experiment, so that what the machine does meanwhile meets both alike. The exit code is 0 where the slow-down is
    proven to be below the limit, 1 where it is proven to be above, 2 where the interval holds the limit, 3 where
    something keeps the comparison from being used. Figures that need no statistics (size, nodes, operations, memory
    plan, digest of the outputs) are compared exactly: worse is a regression. At the end of a sequence the inputs and
    tools are those of this call, and the head is the working tree.
    """

    name = "gate"
    kind = ToolKind.MANAGEMENT
    closing = True
    progress = "Comparing two revisions"
    reads = "two revisions of the git repository around the working directory"
    writes = "with --summary Markdown, with --records the measurement records"
    example = (
        "turnkey gate -i models/net.py --base origin/main --head HEAD --max-slowdown 5%\n"
        "turnkey -i net.py discover export-pytorch optimize-ort gate --base origin/main --summary gate.md"
    )
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(
            flags=("-i", "--inputs"),
            arity=Arity.MANY,
            metavar="FILE",
            default_text="those of this call",
            help="Scripts and ONNX files of the repository; SCRIPT.py::HASH is one model of a script.",
        ),
        Argument(flags=("--base",), metavar="REV", help="Revision that is compared with, or a directory."),
        Argument(
            flags=("--head",),
            metavar="REV",
            default=".",
            default_text="the working tree",
            help="Revision that is judged, or a directory.",
        ),
        Argument(
            flags=("--max-slowdown",),
            parse=percentage,
            default=0.05,
            default_text="5%",
            metavar="PERCENT",
            help="Slow-down that is allowed.",
        ),
        Argument(
            flags=("--runtime",),
            parse=parse_runtime,
            metavar="NAME",
            default_text="the first that executes what was built",
            help="What executes the model.",
        ),
        Argument(flags=("--device",), default="cpu", metavar="DEVICE", help="Where it runs: cpu, cuda."),
        Argument(
            flags=("--exact",),
            arity=Arity.MANY,
            choices=(*_METRICS, "none"),
            default=_METRICS,
            metavar="METRIC",
            help="Figures that must not get worse.",
        ),
        Argument(
            flags=("--effort",),
            choices=_EFFORTS,
            default="rigorous",
            help="How many rounds are spent before it stays undecided: standard 11, rigorous 29.",
        ),
        threads("Threads of both sides."),
        Argument(flags=("--base-python",), metavar="FILE", help="Interpreter of the environment for the base."),
        Argument(flags=("--head-python",), metavar="FILE", help="Interpreter of the environment for the head."),
        Argument(
            flags=("--build-timeout",),
            parse=positive_number,
            default=3600.0,
            metavar="SECONDS",
            help="For the tools on one input of one revision.",
        ),
        Argument(
            flags=("--summary",),
            metavar="FILE",
            help="Append the result as Markdown, for a pull request.",
        ),
        Argument(flags=("--records",), metavar="DIR", help="Keep the measurement records there."),
    )

    def manage(
        self,
        context: ManagementContext,
        inputs: Sequence[str] = (),
        base: str | None = None,
        head: str = ".",
        max_slowdown: float = 0.05,
        runtime: str | None = None,
        device: str = "cpu",
        exact: Sequence[str] = _METRICS,
        effort: str = "rigorous",
        threads: int | None = None,
        base_python: str | None = None,
        head_python: str | None = None,
        build_timeout: float = 3600.0,
        summary: str | None = None,
        records: str | None = None,
        **arguments: Any,
    ) -> int:
        """Check; 0 pass, 1 regression, 2 undecided, 3 invalid.

        Raises:
            UsageError: no base, no input, a revision or file that is not there; nothing was measured.
        """
        import json
        import sys

        from turnkey.measure import Settings
        from turnkey.report.gate.check import GateRequest, check
        from turnkey.report.gate.judgement import Answer, overall
        from turnkey.report.gate.summary import json_of, markdown_of, text_of

        if base is None:
            raise UsageError("gate needs a revision to compare with", remedy="turnkey gate -i FILE --base origin/main")
        items = _given(inputs, runtime) if inputs else _of_this_call(context)
        if not items:
            raise UsageError("gate needs an input", remedy=f"turnkey gate -i FILE --base {base}")
        request = GateRequest(
            base=base,
            head=head,
            inputs=tuple(items),
            limit=max_slowdown,
            settings=Settings(
                effort=effort,
                threads=threads,
                limit=max_slowdown,
                seed=int(context.globals.get("seed") or 0),
            ),
            runtime=runtime,
            device=device,
            exact=tuple(name for name in exact if name != "none"),
            base_python=base_python,
            head_python=head_python,
            timeout_s=build_timeout,
            records=None if records is None else settings.absolute_path(records),
        )
        quiet = context.quiet or context.as_json
        try:
            judgements = check(request, tell=lambda text: None if quiet else print(text, file=sys.stderr, flush=True))
        except UsageError:
            raise
        except TurnkeyError as error:  # its own exit code would read as a regression
            print(error if not context.as_json else json.dumps({"error": error.to_dict()}))
            return int(Answer.INVALID)
        if summary is not None:
            _append(settings.absolute_path(summary), markdown_of(judgements, limit=max_slowdown))
        if context.as_json:
            print(json.dumps(json_of(judgements, limit=max_slowdown)))
        else:
            print(text_of(judgements, limit=max_slowdown))
        return int(overall(judgements))


def _given(inputs: Sequence[str], runtime: str | None) -> list[GateInput]:
    """Inputs of the command with the default tools of their kind.

    Raises:
        UsageError: a file that is neither a script nor an ONNX file.
    """
    from turnkey.report.gate.check import GateInput

    found = []
    for text in inputs:
        name, _, target = text.partition("::")
        path = settings.absolute_path(name)
        if not path.is_file():
            raise UsageError(f"there is no file {name}", evidence=str(path))
        if path.suffix == ".onnx":
            steps: Steps = (("load-onnx", {}), ("verify", {}))
        elif path.suffix == ".py":
            live = runtime is not None and runtime.startswith("torch")
            steps = (("discover", {}),) if live else (("discover", {}), ("export-pytorch", {}), ("verify", {}))
        else:
            raise UsageError(
                f"{path.name} is neither a script nor an ONNX file",
                remedy="turnkey -i INPUT tool … gate --base REV   # any input, any tools",
            )
        found.append(GateInput(path=path, target=target or None, steps=steps))
    return found


def _of_this_call(context: ManagementContext) -> list[GateInput]:
    """Inputs and tools of the builds that this call made; tools that only measure are left out."""
    from pathlib import Path

    from turnkey.report.gate.check import GateInput
    from turnkey.report.source import collect, state_of

    if context.build_names is None:
        return []
    found = collect([Path(path) for path in context.cache_dirs], only=context.build_names)
    items = []
    for build in found.builds:
        state = state_of(build)
        steps = tuple((tool, given) for tool, given, _ in state.sequence if tool not in _ONLY_MEASURE)
        path = Path(str(state.input["path"]))
        items.append(GateInput(path=path, target=state.input.get("hash"), steps=steps))
    return items


def _append(path: Path, text: str) -> None:
    """Raises InputError where the file cannot be written."""
    from turnkey.pipeline import durable

    try:
        with path.open("a", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise durable.cannot_write(path, error) from error
