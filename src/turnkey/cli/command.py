"""A command: what the tokens ask for, with everything checked before anything runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from turnkey import settings
from turnkey.cli.nearest import nearest
from turnkey.cli.splitter import Grammar, Section, print_sections
from turnkey.cli.values import given_values
from turnkey.errors import UsageError
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


_OF_OWN_PROCESSES = ("timeout", "memory_limit", "disk_limit")

PASSED = (
    *("cache_dir", "lean_cache", "process_isolation", "jobs", "use_slurm", "slurm", "timeout", "memory_limit"),
    *("disk_limit", "output_limit", "fresh", "resume", "retry", "shard", "fail_fast", "seed", "verbose"),
)
"""Global arguments that `turnkey.launch.Options` and `turnkey.evaluate_files` have under the same names."""


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
    _check_combination(given)
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


def _check_combination(given: Mapping[str, Any]) -> None:
    if given.get("use_slurm") and given.get("process_isolation"):
        raise UsageError(
            "--process-isolation and --use-slurm exclude each other",
            remedy="leave one of them out: a Slurm job is a process of its own",
        )
    if given.get("use_slurm") and given.get("jobs", 1) > 1:
        raise UsageError(
            "--jobs is for this machine, --use-slurm for a cluster",
            evidence=f"--jobs {given['jobs']} --use-slurm",
            remedy=f"how many jobs Slurm runs at a time: --slurm array_parallelism={given['jobs']}",
        )
    has_processes = given.get("process_isolation") or given.get("use_slurm") or given.get("jobs", 1) > 1
    for key in _OF_OWN_PROCESSES:
        if key in given and not has_processes:
            flag = f"--{key.replace('_', '-')}"
            raise UsageError(
                f"{flag} needs inputs in processes of their own",
                evidence=f"{flag} without --process-isolation or --use-slurm",
                remedy=f"add --process-isolation: turnkey -i INPUTS --process-isolation {flag} …",
            )
    for key in ("slurm", "no_wait"):
        if key in given and not given.get("use_slurm"):
            flag = f"--{key.replace('_', '-')}"
            raise UsageError(
                f"{flag} is about Slurm jobs", evidence=f"{flag} without --use-slurm", remedy="add --use-slurm"
            )
    if given.get("quiet") and given.get("verbose"):
        raise UsageError("--quiet and --verbose exclude each other", remedy="leave one of them out")


def _work(given: Mapping[str, Any], steps: list[tuple[type[Tool], dict[str, Any]]], grammar: Grammar) -> Work:
    from turnkey.launch import Options
    from turnkey.launch.plan import DEFAULT_SEQUENCES, check_sequences, labels_of
    from turnkey.model.inputs import expand_inputs
    from turnkey.model.label_filter import filter_inputs
    from turnkey.pipeline.sequence import Sequence as ToolSequence

    expanded = expand_inputs(given["input_files"], suggest=lambda word: nearest(word, grammar.tool_names))
    kept = filter_inputs(expanded.inputs, given.get("labels", ()), labels_of=labels_of)
    working = [(tool.name, values) for tool, values in steps if tool.kind is not ToolKind.MANAGEMENT]
    sequence = ToolSequence(working) if working else None
    check_sequences(kept.inputs, sequence)
    values = {key: given[key] for key in PASSED if key in given}
    if (values.get("process_isolation") or values.get("use_slurm")) and "timeout" not in values:
        values["timeout"] = settings.timeout_seconds()  # a bad variable must fail before anything runs
    options = Options(**values, wait=not given.get("no_wait"))
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


def _management_step(tool: type[Tool], values: Mapping[str, Any]) -> ManagementStep:
    from turnkey.pipeline.arguments import effective_arguments

    return ManagementStep(tool=tool, arguments=effective_arguments(tool, values))
