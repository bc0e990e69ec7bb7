"""The tool ``lexer-benchmark``: the decorator door from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind

if TYPE_CHECKING:
    from collections.abc import Iterable

    from turnkey.lexer.report import BenchmarkReport
    from turnkey.lexer.sweep import Sweep
    from turnkey.pipeline.state import State


class LexerBenchmark(Tool):
    """Export and benchmark the model as the decorator does, and write a .lexer artifact.

    The first input that the script used is the input. The script's own @Lexer decorators hold, and so do the settings
    files that they would find; --set is stronger than both: every key of the configuration, such as
    num_iterations=100, enable_pytorch=false or engines=openvino,torch-compile.
    """

    name = "lexer-benchmark"
    kind = ToolKind.SEQUENCE
    progress = "Benchmarking as Lexer does"
    measures = True
    reads = "the live model and its first sample"
    writes = "<name>.lexer in the working directory or in --output-dir"
    example = "turnkey -i model.py discover lexer-benchmark --name benchmark --set num_iterations=100"
    arguments: ClassVar[tuple[Argument, ...]] = (
        Argument(flags=("--name",), metavar="NAME", default_text="the build's name", help="Of the artifact."),
        Argument(
            flags=("-o", "--output-dir"), metavar="DIR", default=".", help="Where the artifact goes; made if missing."
        ),
        Argument(
            flags=("--set",),
            dest="settings",
            arity=Arity.MANY,
            default=(),
            metavar="KEY=VALUE",
            help="Settings of the decorator door.",
        ),
        Argument(
            flags=("--batch-sizes",),
            arity=Arity.MANY,
            metavar="N",
            help="Benchmark every one of these, with inputs made from the first sample.",
        ),
        Argument(
            flags=("--threads",), arity=Arity.MANY, metavar="N", help="Benchmark with every one of these counts."
        ),
        Argument(flags=("--tags",), arity=Arity.MANY, default=(), metavar="KEY=TEXT", help="Texts of your own."),
    )

    @classmethod
    def needs_live_model(cls, state: State, **arguments: Any) -> bool:
        """Always: torch is one of the engines, and the export starts from the module."""
        return True

    def run(self, state: State, **arguments: Any) -> State:
        """Measure and write.

        Raises:
            UsageError: an unknown or wrong setting, or a source that is a file.
            TurnkeyError: as `LexerContext.benchmark` and `LexerContext.flush`.
        """
        from dataclasses import replace

        from turnkey.lexer.api.lexer_context import LexerContext
        from turnkey.lexer.options import checked
        from turnkey.model.torch_bridge import tensors_of
        from turnkey.pipeline.stored_source import source_of
        from turnkey.settings import absolute_path

        source = source_of(state)
        if source.module is None or source.samples.structure is None:
            raise UsageError(
                "lexer-benchmark starts from a live model, and this input is a file",
                remedy="turnkey -i SCRIPT.py discover lexer-benchmark   # for ONNX files: benchmark",
            )
        args, kwargs = source.samples.structure.bind(tensors_of(source.samples.inputs[0]))
        given = {**checked(settings_from(arguments.get("settings") or ()), where="--set"), "enable_stdout": False}
        swept = {
            name: _counts(words, f"--{name.replace('_', '-')}")
            for name in ("batch_sizes", "threads")
            if (words := arguments.get(name))
        }
        if "threads" in swept and given.pop("threads", None) is not None:
            raise UsageError("threads are given twice", evidence="--threads and --set threads=…")
        tags = dict(_pairs(arguments.get("tags") or (), "--tags"))
        with LexerContext() as context:
            report: BenchmarkReport | Sweep
            if swept:
                report = context.sweep(
                    source.module,
                    tuple(args),
                    batch_sizes=swept.get("batch_sizes"),
                    threads=swept.get("threads"),
                    input_kwargs=kwargs,
                    **given,
                )
            else:
                report = context.benchmark(source.module, tuple(args), input_kwargs=kwargs, **given)
            path = context.flush(
                arguments.get("name") or state.build_name, absolute_path(arguments.get("output_dir") or "."), tags=tags
            )
        return replace(state, listing=f"{report}\nwrote {path}")


def settings_from(words: Iterable[str]) -> dict[str, Any]:
    """``KEY=VALUE`` words as settings: numbers, switches and lists as their keys want them.

    Raises:
        UsageError: a word without ``=``; what a value may be is checked where all settings are.
    """
    return {key: _value(key, text) for key, text in _pairs(words, "--set")}


def _counts(words: Iterable[str], flag: str) -> list[int]:
    """``1 8`` or ``1,8`` as whole numbers; which of them can be is checked where sweeps are made."""
    texts = [text for word in words for text in word.split(",")]
    if not all(text.isdecimal() for text in texts):
        raise UsageError(f"{flag} takes whole numbers", evidence=" ".join(words), remedy=f"{flag} 1 8 32")
    return [int(text) for text in texts]


def _value(key: str, text: str) -> Any:
    """As TOML has it (``5``, ``0.1``, ``true``, ``["a"]``); else a text, or texts parted by commas for lists."""
    import tomllib

    from turnkey.lexer.options import KEYS

    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        is_list = key in KEYS and KEYS[key].allowed.startswith("a list")
        return text.split(",") if is_list else text


def _pairs(words: Iterable[str], flag: str) -> Iterable[tuple[str, str]]:
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise UsageError(f"{flag} takes KEY=VALUE", evidence=word, remedy=f"{flag} num_iterations=100")
        yield key, value
