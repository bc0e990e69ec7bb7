"""A sequence printed as the shell command that asks for it: what splits into the same list again."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Sequence
from typing import Any

from turnkey.cli.globals import INPUTS
from turnkey.cli.splitter import Given, Section, print_sections
from turnkey.pipeline.tool import Argument, Arity, Steps
from turnkey.pipeline.toolbox import find_tool


def shell_command(inputs: Sequence[str], steps: Steps, *, tool_names: Collection[str]) -> str:
    """The command line for these inputs and steps, quoted for a shell."""
    given = (Given(argument=INPUTS, texts=tuple(inputs)),) if inputs else ()
    sections = (Section(given=given), *sections_of(steps))
    return shlex.join(["turnkey", *print_sections(sections, tool_names)])


def collecting_command(words: Sequence[str]) -> str:
    """The command that waits for the jobs which one with ``--no-wait`` has submitted.

    Args:
        words: those of that one, after ``turnkey``.
    """
    place = words.index("--no-wait")
    resumes = [] if {"--resume", "--continue"} & set(words[:place]) else ["--resume"]
    return shlex.join(["turnkey", *words[:place], *resumes, *words[place + 1 :]])


def sections_of(steps: Steps) -> tuple[Section, ...]:
    """Steps as sections of a command line; arguments that the command line does not have are left out."""
    return tuple(_section(name, arguments) for name, arguments in steps)


def _section(name: str, arguments: Any) -> Section:
    given = []
    for argument in find_tool(name).arguments:
        value = arguments.get(argument.key)
        if value is None or value is False or value == []:
            continue
        given.append(Given(argument=argument, texts=_texts(argument, value)))
    return Section(tool=name, given=tuple(given))


def _texts(argument: Argument, value: Any) -> tuple[str, ...]:
    if argument.arity is Arity.FLAG:
        return ()
    values = value if isinstance(value, (list, tuple)) else [value]
    return tuple(str(item) for item in values)
