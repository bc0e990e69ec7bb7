"""Help: the guide's two sections, tools in three groups, and what is said of each argument."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from turnkey import settings
from turnkey.cli.catalogue import load_catalogue
from turnkey.cli.globals import GLOBALS
from turnkey.cli.help import default_text, program_help, tool_help
from turnkey.cli.main import main
from turnkey.pipeline.arguments import effective_arguments
from turnkey.pipeline.plain_data import plain
from turnkey.pipeline.tool import Argument, Arity, Tool, ToolKind
from turnkey.pipeline.toolbox import TOOLS, find_tool

HEADINGS = [
    "Tool Positional Arguments",
    "  first tools: start a sequence",
    "  sequence tools: follow in any order that the state allows",
    "  management tools: stand without inputs and other tools",
    "Optional Arguments",
    "Environment Variables",
    "Examples",
    "Exit Codes",
]

ALL_TOOLS = [find_tool(name) for name in TOOLS.builtin]


def test_the_help_has_the_sections_of_the_guide_in_order() -> None:
    lines = program_help(load_catalogue(), width=100).splitlines()
    assert [line for line in lines if line in HEADINGS] == HEADINGS


def test_every_variable_that_is_read_is_in_the_help() -> None:
    read = set(re.findall(r"\bTURNKEY_[A-Z_]+", Path(settings.__file__).read_text(encoding="utf-8")))
    text = program_help(load_catalogue(), width=100)
    assert {name for name in read if f"  {name} " not in text} == set()


def test_no_arguments_at_all_print_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    bare = capsys.readouterr().out
    assert main(["-h"]) == 0
    assert capsys.readouterr().out == bare
    assert bare.startswith("Turnkey ")


def test_every_tool_stands_in_its_group_once() -> None:
    text = program_help(load_catalogue(), width=100)
    first = text.index("first tools")
    sequence = text.index("sequence tools")
    management = text.index("management tools")
    optional = text.index("Optional Arguments")
    places = {
        ToolKind.FIRST: (first, sequence),
        ToolKind.SEQUENCE: (sequence, management),
        ToolKind.MANAGEMENT: (management, optional),
    }
    for tool in ALL_TOOLS:
        start, end = places[tool.kind]
        rows = [line for line in text[start:end].splitlines() if line.split(maxsplit=1)[:1] == [tool.name]]
        assert len(rows) == 1, tool.name


def test_every_shown_global_argument_is_in_the_help_and_no_hidden_one() -> None:
    text = program_help(load_catalogue(), width=100)
    for argument in GLOBALS:
        assert all((f"{flag}" in text) is not argument.hidden for flag in argument.flags if flag.startswith("--"))


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
def test_the_help_of_a_tool_is_its_docstring_and_its_arguments(
    tool: type[Tool], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([tool.name, "-h"]) == 0
    text = capsys.readouterr().out
    words = " ".join(text.split())
    assert tool.__doc__ is not None
    assert " ".join(tool.__doc__.split(".")[0].split()) in words
    for argument in tool.arguments:
        if not argument.hidden:
            assert " ".join(argument.help.rstrip(".").split()).casefold() in words.casefold(), argument.flags
    if tool.kind is not ToolKind.MANAGEMENT:
        assert tool.example
        assert tool.reads
        assert tool.writes


def test_what_is_said_of_an_argument_begins_alike_whoever_wrote_it() -> None:
    class Mixed(Tool):
        """Do nothing."""

        name = "mixed"
        kind = ToolKind.MANAGEMENT
        arguments = (
            Argument(flags=("--small",), metavar="N", help="opset of the file"),
            Argument(flags=("--large",), metavar="N", help="Threads of every runtime."),
            Argument(flags=("--typed",), metavar="N", help="quick: one process each"),
        )

    text = tool_help(Mixed, width=100)
    assert [line.split(maxsplit=2)[2] for line in text.splitlines() if line.startswith("  --")] == [
        "Opset of the file",
        "Threads of every runtime",
        "quick: one process each",
    ]


@pytest.mark.parametrize("tool", ALL_TOOLS, ids=lambda tool: tool.name)
def test_every_default_shown_is_the_one_in_effect(tool: type[Tool], monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("TURNKEY_ONNX_OPSET", "TURNKEY_TIMEOUT_SECONDS", "TURNKEY_CACHE_DIR"):
        monkeypatch.delenv(variable, raising=False)
    effective = effective_arguments(
        tool, {a.key: a.choices[0] if a.choices else "model.tar" for a in tool.arguments if a.is_positional}
    )
    for argument in tool.arguments:
        if argument.is_positional or argument.default_text or argument.arity is Arity.FLAG:
            continue
        default = argument.default() if callable(argument.default) else argument.default
        assert effective.get(argument.key) == (plain(default) if default is not None else None)
        if isinstance(default, str | int) and default != "":
            assert default_text(argument) == str(default)


@pytest.mark.parametrize("width", [60, 80, 110])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = program_help(load_catalogue(), width=width)
    examples = text[text.index("Examples") : text.index("Exit Codes")]
    for line in text.replace(examples, "").splitlines():
        assert len(line) <= max(width, 100), line
    for tool in ALL_TOOLS:
        for line in tool_help(tool, width=width).splitlines():
            assert len(line) <= width or line.startswith("  "), line


def test_a_bad_environment_variable_does_not_keep_help_and_version_from_working(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TURNKEY_ONNX_OPSET", "many")
    monkeypatch.setenv("TURNKEY_TIMEOUT_SECONDS", "-3")
    assert main(["-h"]) == 0
    assert main(["export-pytorch", "-h"]) == 0
    assert main(["version"]) == 0
    assert capsys.readouterr().err == ""
