"""Sequences printed as shell commands, over the real tools."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from turnkey.cli.catalogue import grammar
from turnkey.cli.shell import collecting_command, shell_command
from turnkey.cli.splitter import split
from turnkey.cli.values import given_values
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.tool import Argument, Arity, ToolKind
from turnkey.pipeline.toolbox import TOOLS, find_tool

SEQUENCE_TOOLS = [name for name in TOOLS.builtin if find_tool(name).kind is ToolKind.SEQUENCE]
TEXTS = st.one_of(
    st.sampled_from([*TOOLS.builtin, "--", "-h", "--opset", "--n 3", "4", "20", "1e-3", "256MiB", "a::b", "x:0", ""]),
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=5),
)


def value_of(argument: Argument, text: str) -> object:
    """The parsed value of a text, or None where it is no value of the argument."""
    if argument.choices and text not in argument.choices:
        return None
    try:
        return argument.parse(text)
    except ValueError:
        return None


@st.composite
def sequences(draw: st.DrawFn) -> Sequence:
    steps = []
    for name in ["discover", *draw(st.lists(st.sampled_from(SEQUENCE_TOOLS), max_size=3))]:
        arguments: dict[str, object] = {}
        for argument in draw(st.lists(st.sampled_from([*find_tool(name).arguments, None]), max_size=3)):
            if argument is None:
                continue
            texts = draw(st.lists(TEXTS | st.sampled_from(argument.choices or ("7",)), min_size=1, max_size=3))
            values = [value for value in (value_of(argument, text) for text in texts) if value is not None]
            if argument.arity is Arity.FLAG:
                arguments[argument.key] = True
            elif values:
                arguments[argument.key] = values if argument.arity is Arity.MANY else values[0]
        steps.append((name, arguments))
    return Sequence(steps)


def read_back(command: str) -> Sequence:
    known = grammar()
    _, *sections = split(shlex.split(command)[1:], known)
    return Sequence([(section.tool, given_values(section, find_tool(section.tool).arguments)) for section in sections])


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(sequences())
def test_the_command_of_a_sequence_splits_into_that_sequence(original: Sequence) -> None:
    assert read_back(shell_command(["a.py"], original.steps, tool_names=TOOLS.names())) == original


@pytest.mark.parametrize("name", ["a b.py", "it's.py", "-x.py", "discover", "ü\n.py"])
def test_inputs_with_awkward_names_come_back(name: str) -> None:
    command = shell_command([name, name], (("discover", {}),), tool_names=TOOLS.names())
    section = split(shlex.split(command)[1:], grammar())[0]
    assert section.given[0].texts == (name, name)


def test_the_command_that_collects_is_the_same_one_with_resume_instead_of_no_wait() -> None:
    submits = ["-i", "my model.py", "--use-slurm", "--no-wait", "--slurm", "partition=low", "discover"]
    collects = "turnkey -i 'my model.py' --use-slurm --resume --slurm partition=low discover"
    assert collecting_command(submits) == collects
    assert collecting_command(["a.py", "--continue", "--no-wait", "discover"]) == "turnkey a.py --continue discover"
