"""A command: what the tokens ask for, with everything checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from turnkey.cli.splitter import Grammar, Section, print_sections
from turnkey.cli.values import given_values
from turnkey.errors import UsageError
from turnkey.nearest import nearest
from turnkey.pipeline.tool import Tool, ToolKind
from turnkey.pipeline.toolbox import find_tool

if TYPE_CHECKING:  # these import YAML, which management tools do without
    from turnkey.launch import Options
    from turnkey.model.inputs import Input
    from turnkey.pipeline.sequence import Sequence as ToolSequence


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagementStep:
    """A management tool with its effective arguments."""

    tool: type[Tool]
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """Inputs that go through tools.

    Attributes:
        sequence: None for the default sequence of each input.
        notes: what the user should know before anything runs.
    """

    inputs: tuple[Input, ...]
    sequence: ToolSequence | None
    options: Options
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A checked command line.

    Attributes:
        work: None if there are only management tools.
        management: those tools; beside work they are closing tools and run after the last input.
        globals: values of the global arguments that were given.
    """

    work: Work | None
    management: tuple[ManagementStep, ...]
    globals: Mapping[str, Any] = field(default_factory=dict)


def check(sections: Sequence[Section], grammar: Grammar) -> Command:
    """The command that these sections ask for.

    Raises:
        UsageError: a wrong value, tool, place, combination or input.
    """
    global_section, *tool_sections = sections
    given = given_values(global_section, grammar.global_arguments)
    tools = [find_tool(section.tool) for section in tool_sections]
    _check_order(global_section, tool_sections, tools, grammar)
    steps = [(tool, given_values(section, tool.arguments)) for section, tool in zip(tool_sections, tools, strict=True)]
    if given.get("quiet") and given.get("verbose"):
        raise UsageError("--quiet and --verbose exclude each other", remedy="leave one of them out")
    return Command(
        work=_work(given, steps, grammar) if given.get("input_files") else None,
        management=tuple(_management_step(tool, values) for tool, values in steps if tool.kind is ToolKind.MANAGEMENT),
        globals=given,
    )


def _check_order(global_section: Section, sections: list[Section], tools: list[type[Tool]], grammar: Grammar) -> None:
    """First tools first, closing tools last, other management tools alone, work only with inputs."""
    has_inputs = global_section.has("input_files")
    working = [tool for tool in tools if tool.kind is not ToolKind.MANAGEMENT]
    managing = [tool for tool in tools if tool.kind is ToolKind.MANAGEMENT]
    if not has_inputs and not tools:
        raise UsageError("there is no input and no tool", remedy="turnkey -h   # what can be done")
    if not has_inputs and not working:
        return
    for tool in managing:
        if not tool.closing:
            raise UsageError(
                f"{tool.name} is a management tool and stands without inputs and other tools",
                evidence=" ".join(section.tool for section in sections),
                remedy=f"turnkey {tool.name}   # as a command of its own",
            )
    if not has_inputs:
        raise UsageError(
            f"{working[0].name} needs an input",
            evidence="no -i and no word before the first tool",
            remedy=f"turnkey -i INPUT {' '.join(section.tool for section in sections)}",
        )
    order = [_rank(tool) for tool in tools]
    if order != sorted(order):
        misplaced = next(index for index in range(1, len(order)) if order[index] < order[index - 1])
        raise _misplaced(global_section, sections, tools, misplaced, grammar)
    first_tools = [tool for tool in working if tool.kind is ToolKind.FIRST]
    if len(first_tools) > 1:
        raise UsageError(
            f"{first_tools[0].name} and {first_tools[1].name} both start a sequence",
            evidence=" ".join(section.tool for section in sections),
            remedy="leave one of them out; under discover, ONNX files and builds are loaded by themselves",
        )
    if working and not first_tools:
        raise _without_first_tool(global_section, sections, tools, grammar)


def _rank(tool: type[Tool]) -> int:
    return 2 if tool.closing else 0 if tool.kind is ToolKind.FIRST else 1


def _misplaced(
    global_section: Section, sections: list[Section], tools: list[type[Tool]], misplaced: int, grammar: Grammar
) -> UsageError:
    sorted_sections = [section for _, section in sorted(zip(tools, sections, strict=True), key=lambda p: _rank(p[0]))]
    if tools[misplaced].kind is ToolKind.FIRST:
        what = f"{tools[misplaced].name} starts a sequence and must come first"
    else:
        closing = next(tool for tool in tools if tool.closing)
        what = f"{closing.name} runs after the last input and must come last"
    return UsageError(
        what,
        evidence=" ".join(section.tool for section in sections),
        remedy=_shell([global_section, *sorted_sections], grammar),
    )


def _without_first_tool(
    global_section: Section, sections: list[Section], tools: list[type[Tool]], grammar: Grammar
) -> UsageError:
    from turnkey.launch.plan import FIRST_TOOLS
    from turnkey.model.inputs import InputKind, expand_inputs

    words = [text for item in global_section.given if item.argument.key == "input_files" for text in item.texts]
    kinds = {item.kind for item in expand_inputs(words).inputs}
    first = FIRST_TOOLS[kinds.pop() if len(kinds) == 1 else InputKind.SCRIPT]
    return UsageError(
        f"{tools[0].name} cannot start a sequence",
        evidence=f"first tool: {sections[0].tool}",
        remedy=_shell([global_section, Section(tool=first), *sections], grammar),
    )


def _shell(sections: Sequence[Section], grammar: Grammar) -> str:
    import shlex  # only a mistake pays for it

    return shlex.join(["turnkey", *print_sections(sections, grammar.tool_names)])


def _work(given: Mapping[str, Any], steps: list[tuple[type[Tool], dict[str, Any]]], grammar: Grammar) -> Work:
    from turnkey.launch import Options
    from turnkey.launch.plan import DEFAULT_SEQUENCES, check_sequences, labels_of
    from turnkey.model.inputs import expand_inputs
    from turnkey.model.label_filter import filter_inputs
    from turnkey.pipeline.sequence import Sequence as ToolSequence

    options = Options(**option_values(given))
    expanded = expand_inputs(given["input_files"], suggest=lambda word: nearest(word, grammar.tool_names))
    kept = filter_inputs(expanded.inputs, given.get("labels", ()), labels_of=labels_of)
    working = [(tool.name, values) for tool, values in steps if tool.kind is not ToolKind.MANAGEMENT]
    sequence = ToolSequence(working) if working else None
    check_sequences(kept.inputs, sequence)
    notes = [*expanded.notes, *kept.notes]
    if sequence is None:
        kinds = dict.fromkeys(item.kind for item in kept.inputs)
        default = [
            f"no tool named; each {kind.value} goes through: {' '.join(DEFAULT_SEQUENCES[kind])}" for kind in kinds
        ]
        notes = [*default, *notes]
    if options.shard.count > 1:
        mine = len(options.shard.of(kept.inputs))
        notes.append(f"shard {options.shard}: {mine} of {len(kept.inputs)} inputs")
    return Work(inputs=kept.inputs, sequence=sequence, options=options, notes=tuple(notes))


def option_values(given: Mapping[str, Any]) -> dict[str, Any]:
    """Of the global arguments that were given those that `turnkey.launch.Options` has, under its names."""
    from turnkey.launch import Options

    values = {option.name: given[option.name] for option in fields(Options) if option.name in given}
    return {**values, "wait": False} if given.get("no_wait") else values


def _management_step(tool: type[Tool], values: Mapping[str, Any]) -> ManagementStep:
    from turnkey.pipeline.arguments import effective_arguments

    return ManagementStep(tool=tool, arguments=effective_arguments(tool, values))
