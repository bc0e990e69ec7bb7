"""Help, generated from what exists: for the program, and for each tool from its class.

Pure functions of the tables and a width; nothing here is imported for anything but help.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from typing import Any

from turnkey.cli.catalogue import Catalogue
from turnkey.cli.globals import GLOBALS
from turnkey.cli.splitter import HELP
from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.version import __version__

USAGE = "turnkey -i INPUT [INPUT ...] [global arguments] tool [arguments] tool [arguments] ..."

_GROUPS = (
    (ToolKind.FIRST, "first tools: start a sequence"),
    (ToolKind.SEQUENCE, "sequence tools: follow in any order that the state allows"),
    (ToolKind.MANAGEMENT, "management tools: stand without inputs and other tools"),
)

_VARIABLES = (
    ("TURNKEY_CACHE_DIR", "default of --cache-dir; the argument wins"),
    ("TURNKEY_ONNX_OPSET", "default opset of ONNX files; without it 20"),
    ("TURNKEY_TIMEOUT_SECONDS", "default of --timeout; without it 3600"),
    (
        "TURNKEY_TRACEBACK",
        "unset: traceback of what a script, model or library raised; False: one line; True: everything",
    ),
    ("TURNKEY_BUILD_MONITOR", "False: no live monitor, one plain line per finished tool"),
    (
        "TURNKEY_MACHINE_LOCK",
        "file by which calls on this machine take turns, so that what measures is alone; empty: no turns",
    ),
    (
        "TURNKEY_CONVERSION_CACHE",
        "GiB of conversions that turnkey.optimize keeps for later calls; without it 4; 0: none",
    ),
    ("TURNKEY_CONSOLE_OUTPUT", "False: turnkey.optimize and @Lexer do not tell where they are"),
    ("TURNKEY_LOG_LEVEL", "how much turnkey.optimize tells: warning, info or debug; without it info"),
    ("TURNKEY_MULTIPROCESSING", "False: turnkey.optimize converts in its own process"),
)

_EXAMPLES = (
    ("find the models in a script", "turnkey -i my_script.py discover"),
    ("export, verify and benchmark one", "turnkey -i my_script.py discover export-pytorch verify benchmark"),
    ("the same, since it is the default", "turnkey my_script.py"),
    ("choose one of several models", "turnkey -i my_script.py::479b1332 discover export-pytorch --opset 18"),
    (
        "an ONNX file on two runtimes, compared",
        "turnkey -i m.onnx load-onnx verify benchmark --runtimes onnxruntime openvino",
    ),
    ("many scripts, then a table of all", "turnkey models/*/*.py --jobs 4 discover export-pytorch report"),
    ("go on after a crash", "turnkey models/*/*.py --jobs 4 --continue discover export-pytorch report"),
    ("the same on a cluster", "turnkey models/*/*.py --use-slurm --slurm partition=short discover export-pytorch"),
)

_EXIT_CODES = (
    ("0", "every input is successful or skipped"),
    ("1", "an input ended in error, timeout or killed; a failed verification is an error"),
    ("2", "the command is wrong; nothing was run"),
    ("130", "interrupted (Ctrl-C)"),
    ("143", "told to end (SIGTERM)"),
)


def terminal_width() -> int:
    """Columns to fill: those of the terminal, at most 110; 100 without one."""
    try:
        return max(60, min(110, os.get_terminal_size(1).columns))
    except OSError:
        return 100


def program_help(catalogue: Catalogue, *, width: int) -> str:
    """What ``turnkey -h`` prints."""
    lines = [
        f"Turnkey {__version__}: from a PyTorch script or ONNX file to verified, measured, deployable models",
        "",
        f"usage: {USAGE}",
        "",
        "Tool Positional Arguments",
    ]
    for kind, title in _GROUPS:
        lines += ["", f"  {title}"]
        for tool in catalogue.by_kind[kind]:
            also = " (may also end a sequence)" if tool.closing else ""
            lines += _row(tool.name, _first_sentence(tool) + also, indent=4, width=width)
    if catalogue.broken:
        lines += ["", "  cannot be used"]
        for name, reason in catalogue.broken.items():
            lines += _row(name, reason, indent=4, width=width)
    lines += ["", "  turnkey <tool> -h shows the arguments of a tool.", ""]
    lines += [
        "Optional Arguments",
        "",
        "  global: they stand before the first tool and hold for all inputs and tools",
        "",
    ]
    lines += _arguments((*GLOBALS, HELP), width=width, indent=2)
    lines += _table("Environment Variables", _VARIABLES, width=width)
    lines += ["", "Examples", ""]
    for purpose, example in _EXAMPLES:
        lines += [f"  # {purpose}", f"  {example}"]
    lines += _table("Exit Codes", _EXIT_CODES, width=width)
    lines += ["", "discover runs the whole script with your rights: be sure that it is safe to run."]
    return "\n".join(lines)


def tool_help(tool: type[Tool], *, width: int) -> str:
    """What ``turnkey <tool> -h`` prints."""
    visible = [argument for argument in (*tool.arguments, HELP) if not argument.hidden]
    lines = [*_wrap(f"usage: {_usage(tool, visible)}", width, indent="       "), ""]
    for paragraph in _docstring(tool).split("\n\n"):
        if paragraph.startswith(" "):
            lines += [*paragraph.splitlines(), ""]
        else:
            lines += [*_wrap(paragraph, width), ""]
    for title, arguments in (
        ("positional arguments", [argument for argument in visible if argument.is_positional]),
        ("optional arguments", [argument for argument in visible if not argument.is_positional]),
    ):
        if arguments:
            lines += [title, "", *_arguments(arguments, width=width, indent=2), ""]
    for title, text in (("reads", tool.reads), ("writes", tool.writes)):
        if text:
            lines += _row(title, text, indent=0, width=width, column=10)
    if tool.example:
        lines += ["", "example", "", *(f"  {line}" for line in tool.example.splitlines())]
    return "\n".join(lines).rstrip()


def default_text(argument: Argument) -> str:
    """The default as help shows it; empty where there is none to show."""
    if argument.arity is Arity.FLAG or argument.is_positional:
        return ""
    if argument.default_text:
        return argument.default_text
    try:
        value = argument.default() if callable(argument.default) else argument.default
    except UsageError as error:  # a bad environment variable must not keep help from working
        return error.what
    return "" if value is None else _value_text(value)


def _value_text(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return " ".join(_value_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


def _usage(tool: type[Tool], arguments: Sequence[Argument]) -> str:
    own = [tool.name]
    for argument in arguments:
        word = _spelling(argument, argument.flags[-1:])
        own.append(word if argument.is_positional else f"[{word}]")
    text = " ".join(own)
    if tool.kind is ToolKind.MANAGEMENT:
        return f"turnkey {text}"
    return f"turnkey -i INPUT {text} ..." if tool.kind is ToolKind.FIRST else f"turnkey -i INPUT discover ... {text}"


def _arguments(arguments: Sequence[Argument], *, width: int, indent: int) -> list[str]:
    lines = []
    for argument in arguments:
        if argument.hidden:
            continue
        text = _phrase(argument.help)
        default = default_text(argument)
        if argument.choices and argument.metavar:
            text += f"; {'any' if argument.arity is Arity.MANY else 'one'} of {', '.join(argument.choices)}"
        if default:
            text += f" (default: {default})"
        lines += _row(_spelling(argument, argument.flags), text, indent=indent, width=width)
    return lines


def _phrase(text: str) -> str:
    """Without a full stop; with a capital, unless it begins with what is typed: ``quick: …``, ``$CC``."""
    first = text.partition(" ")[0].rstrip(",;").replace("-", "")
    return (text[:1].upper() + text[1:] if first.isalpha() else text).rstrip(".")


def _spelling(argument: Argument, flags: Sequence[str]) -> str:
    value = argument.metavar or "|".join(argument.choices) or argument.key.upper()
    if argument.is_positional:
        return f"{value} ..." if argument.arity is Arity.MANY else value
    if argument.arity is Arity.FLAG:
        return ", ".join(flags)
    return f"{', '.join(flags)} {value}" + (" ..." if argument.arity is Arity.MANY else "")


def _wrap(text: str, width: int, *, indent: str = "") -> list[str]:
    """Lines of at most ``width``; options and file names are not broken at their hyphens."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False)


def _table(title: str, rows: Sequence[tuple[str, str]], *, width: int) -> list[str]:
    lines = ["", title, ""]
    for name, text in rows:
        lines += _row(name, text, indent=2, width=width)
    return lines


def _row(name: str, text: str, *, indent: int, width: int, column: int = 28) -> list[str]:
    """A name and its text beside it, or under it where the name is too long."""
    lead = " " * indent + name
    wrapped = _wrap(text, width - column) or [""]
    rest = [" " * column + line for line in wrapped]
    if len(lead) + 2 > column:
        return [lead, *rest]
    return [lead.ljust(column) + wrapped[0], *rest[1:]]


def _docstring(tool: type[Tool]) -> str:
    """The docstring with the indentation of the source taken out; the help text of a tool is its docstring."""
    first, _, rest = (tool.__doc__ or "").strip().partition("\n")
    return f"{first}\n{textwrap.dedent(rest)}".strip()


def _first_sentence(tool: type[Tool]) -> str:
    paragraph = " ".join(_docstring(tool).split("\n\n")[0].split())
    sentence, _, _ = paragraph.partition(". ")
    return sentence.rstrip(".")
