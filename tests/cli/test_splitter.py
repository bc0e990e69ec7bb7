"""The grammar of the command line: its examples, its rules one by one, and its round trip."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.cli.completion import answer
from turnkey.cli.globals import GLOBALS, INPUTS
from turnkey.cli.splitter import Given, Grammar, Section, print_sections, split
from turnkey.errors import UsageError
from turnkey.pipeline.tool import Argument, Arity

TOOLS: dict[str, tuple[Argument, ...]] = {
    "discover": (
        Argument(flags=("--script-args",), help=""),
        Argument(flags=("--max-depth",), help=""),
        Argument(flags=("--all",), arity=Arity.FLAG, help=""),
    ),
    "export-pytorch": (
        Argument(flags=("--opset",), help=""),
        Argument(flags=("--dynamic",), arity=Arity.MANY, help=""),
    ),
    "benchmark": (Argument(flags=("--runtime",), help=""), Argument(flags=("--rt-args",), arity=Arity.MANY, help="")),
    "cache": (
        Argument(flags=("-b", "--build-names"), arity=Arity.MANY, help=""),
        Argument(flags=("-l", "--list"), arity=Arity.FLAG, help=""),
    ),
    "report": (Argument(flags=("-o", "--output-dir"), help=""),),
    "show-mlf": (Argument(flags=("archive",), help=""), Argument(flags=("--full",), arity=Arity.FLAG, help="")),
    "compare": (
        Argument(flags=("sources",), arity=Arity.MANY, help=""),
        Argument(flags=("--allow",), arity=Arity.MANY, help=""),
    ),
}
GRAMMAR = Grammar(global_arguments=GLOBALS, tool_names=tuple(TOOLS), arguments_of=TOOLS.__getitem__)


def plain(line: str) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    """Sections of a command line as plain data."""
    return contents(split(line.split(" ") if line else [], GRAMMAR))


def refusal(line: str) -> str:
    with pytest.raises(UsageError) as caught:
        split(line.split(" "), GRAMMAR)
    return str(caught.value)


@pytest.mark.parametrize(
    ("line", "sections"),
    [
        ("", [("", {})]),
        (
            "-i a.py b.py -d c discover --max-depth 1 export-pytorch --opset 18",
            [
                ("", {"input_files": ("a.py", "b.py"), "cache_dir": ("c",)}),
                ("discover", {"max_depth": ("1",)}),
                ("export-pytorch", {"opset": ("18",)}),
            ],
        ),
        ("a.py b.py discover", [("", {"input_files": ("a.py", "b.py")}), ("discover", {})]),
        ("a.py --json b.py", [("", {"input_files": ("a.py", "b.py"), "json": ()})]),
        ("--inputs-files a.py -i b.py", [("", {"input_files": ("a.py", "b.py")})]),
        ("-d cache discover", [("", {"cache_dir": ("cache",)}), ("discover", {})]),
        ("-d=--json", [("", {"cache_dir": ("--json",)})]),
        ("-i discover discover", [("", {"input_files": ("discover",)}), ("discover", {})]),
        ("discover --script-args --n=3", [("", {}), ("discover", {"script_args": ("--n=3",)})]),
        ("discover --script-args=--batch_size", [("", {}), ("discover", {"script_args": ("--batch_size",)})]),
        ("show-mlf report", [("", {}), ("show-mlf", {"archive": ("report",)})]),
        (
            "show-mlf --full report report",
            [("", {}), ("show-mlf", {"full": (), "archive": ("report",)}), ("report", {})],
        ),
        ("compare a b c", [("", {}), ("compare", {"sources": ("a", "b", "c")})]),
        ("compare report b report", [("", {}), ("compare", {"sources": ("report", "b")}), ("report", {})]),
        ("compare a -- report -- -b", [("", {}), ("compare", {"sources": ("a", "report", "-b")})]),
        ("compare a --allow x y", [("", {}), ("compare", {"sources": ("a",), "allow": ("x", "y")})]),
        ("cache --list -b a -- report", [("", {}), ("cache", {"list": (), "build_names": ("a", "report")})]),
        ("cache -b report a report", [("", {}), ("cache", {"build_names": ("report", "a")}), ("report", {})]),
        ("-- discover discover", [("", {"input_files": ("discover",)}), ("discover", {})]),
        ("-- --json", [("", {"input_files": ("--json",)})]),
        ("export-pytorch --dynamic x:0 -1", [("", {}), ("export-pytorch", {"dynamic": ("x:0", "-1")})]),
        (
            "benchmark --runtime torch benchmark --runtime onnxruntime",
            [("", {}), ("benchmark", {"runtime": ("torch",)}), ("benchmark", {"runtime": ("onnxruntime",)})],
        ),
    ],
)
def test_each_token_goes_where_the_grammar_says(
    line: str, sections: list[tuple[str, dict[str, tuple[str, ...]]]]
) -> None:
    assert plain(line) == sections


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("-i a.py discover --cache-dir c", ["global argument", "before the first tool"]),
        ("discover --max-dept 1", ["no option --max-dept", "--max-depth"]),
        ("discover --max 1", ["no option --max", "--max-depth"]),
        ("--opset 18 discover export-pytorch", ["turnkey has no option --opset", "put it after export-pytorch"]),
        ("discover --opset 18 export-pytorch", ["discover has no option --opset", "put it after export-pytorch"]),
        ("discover --opset 18", ["discover has no option --opset", "an option of export-pytorch"]),
        ("-i a.py --jsn", ["turnkey has no option --jsn", "--json"]),
        ("discover benchmrk", ["'benchmrk' is neither a tool nor", "did you mean benchmark?"]),
        ("discover --all=yes", ["--all takes no value"]),
        ("discover --max-depth --all", ["followed by the option --all", "--max-depth=--all"]),
        ("cache -b --list", ["followed by the option --list", "-b=--list"]),
        ("discover --max-depth", ["--max-depth needs a value", "turnkey discover -h"]),
        ("-i a.py --", ["-- needs a value"]),
        ("discover --max-depth 1 --max-depth 2", ["--max-depth is given twice to discover", "'1' and '2'"]),
        ("-i a.py -5x discover", ["turnkey has no option -5x"]),
    ],
)
def test_a_wrong_token_is_named_with_its_remedy(line: str, words: list[str]) -> None:
    message = refusal(line)
    for word in words:
        assert word in message


def test_only_the_tools_of_the_command_are_asked_for_their_arguments() -> None:
    asked: list[str] = []

    def arguments_of(tool: str) -> tuple[Argument, ...]:
        asked.append(tool)
        return TOOLS[tool]

    split(["a.py", "discover"], Grammar(global_arguments=GLOBALS, tool_names=tuple(TOOLS), arguments_of=arguments_of))
    assert asked == ["discover"]


def test_help_is_an_option_of_every_section() -> None:
    assert split(["-h"], GRAMMAR)[0].has("help")
    assert split(["discover", "--help"], GRAMMAR)[1].has("help")


TROUBLE = sorted(
    [*TOOLS, "--", "-", "", "-h", "--opset", "--opset=3", "-i", "--json", "-1", "a b", "x=y", "--n 3", "=", "ü"]
)
VALUES = st.one_of(st.sampled_from(TROUBLE), st.text(max_size=6))


@st.composite
def sections(draw: st.DrawFn) -> tuple[Section, ...]:
    made = []
    for tool in ["", *draw(st.lists(st.sampled_from(sorted(TOOLS)), max_size=4))]:
        table = TOOLS[tool] if tool else GLOBALS
        chosen = draw(st.lists(st.sampled_from(table), unique=True, max_size=4))
        chosen += [argument for argument in table if argument.is_positional and argument not in chosen]
        items = []
        for argument in chosen:
            most = {Arity.FLAG: 0, Arity.ONE: 1, Arity.MANY: 4}[argument.arity]
            texts = draw(st.lists(VALUES, min_size=min(most, 1), max_size=most))
            items.append(Given(argument=argument, texts=tuple(texts)))
        items.sort(key=lambda item: not item.argument.is_positional)
        made.append(Section(tool=tool, given=tuple(items)))
    return tuple(made)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # the first text drawn builds a table
@given(sections())
def test_a_printed_command_splits_into_the_same_sections(original: tuple[Section, ...]) -> None:
    assert split(print_sections(original, TOOLS), GRAMMAR) == original


def contents(sections: tuple[Section, ...]) -> list[tuple[str, dict[str, tuple[str, ...]]]]:
    """Sections without the order of their arguments."""
    return [(section.tool, {item.argument.key: item.texts for item in section.given}) for section in sections]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(VALUES, max_size=6))
def test_whatever_is_typed_is_split_or_refused_and_can_be_completed(tokens: list[str]) -> None:
    try:
        found = split(tokens, GRAMMAR)
    except UsageError:
        found = ()
    assert contents(split(print_sections(found, TOOLS), GRAMMAR)) == contents(found or (Section(),))
    assert isinstance(answer(tokens, GRAMMAR), list)


def test_the_global_table_has_no_spelling_twice() -> None:
    flags = [flag for argument in GLOBALS for flag in argument.flags]
    assert len(flags) == len(set(flags))
    assert GLOBALS[0] is INPUTS
