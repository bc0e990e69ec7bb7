"""``--dry-run``: what a command would do, with an estimate from earlier runs; nothing is written."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from typing import Any

from turnkey.cli.command import Command, Work
from turnkey.cli.durations import read_durations, read_known_statistics
from turnkey.cli.shell import shell_command
from turnkey.launch.plan import labels_of, sequence_for
from turnkey.model.inputs import Input, InputKind
from turnkey.pipeline.build import BuildPaths
from turnkey.pipeline.build_name import base_name, build_names
from turnkey.pipeline.tool import Steps
from turnkey.pipeline.toolbox import TOOLS, find_tool


def dry_run(work: Work) -> list[dict[str, Any]]:
    """One entry per input: ``input``, ``build_name``, ``sequence`` ([[tool, arguments], …]), ``command`` (the same for
    a shell, with every default written out), ``plan`` (what tools say about their step, by their names),
    ``estimate_seconds``.

    The estimate is the sum over the tools of what each took in the last run of this build, else of the median over
    the builds of the cache; None where a tool has never run there.
    """
    cache_dir = work.options.cache_dir
    known = {name: read_durations(BuildPaths(cache_dir, name)) for name in build_names(cache_dir)}
    everywhere = list(known.values())
    entries = []
    for item in work.inputs:
        sequence = sequence_for(item.kind, work.sequence)
        name = _build_name(item)
        seconds = [_estimate(tool, known.get(name, {}), everywhere) for tool in sequence.names]
        total = sum(value for value in seconds if value is not None)
        entries.append(
            {
                "input": item.text,
                "build_name": name,
                "sequence": [[tool, dict(arguments)] for tool, arguments in sequence.steps],
                "plan": _plans(sequence.steps, read_known_statistics(BuildPaths(cache_dir, name))),
                "command": shell_command([item.text], sequence.steps, tool_names=TOOLS.names()),
                "estimate_seconds": round(total, 1) if None not in seconds else None,
            }
        )
    return entries


def text_of(entries: list[dict[str, Any]], command: Command) -> str:
    """The entries for people, and the management tools, none of which is run either."""
    lines = ["nothing was run"]
    if command.work:
        lines = [f"inputs: {len(entries)}, cache: {command.work.options.cache_dir}; nothing was run"]
    for entry in entries:
        estimate = entry["estimate_seconds"]
        duration = "no estimate" if estimate is None else f"about {estimate:.0f} s"
        lines.append(f"{entry['input']} -> {entry['build_name']} ({duration})")
        lines.append(f"  {entry['command']}")
        lines += [f"  {tool}: {text}" for tool, text in entry["plan"]]
    for step in command.management:
        words = shell_command([], ((step.tool.name, step.arguments),), tool_names=TOOLS.names())
        lines.append(f"at the end: {words}" if command.work else words)
    return "\n".join(lines)


def _plans(steps: Steps, known: Mapping[str, Any]) -> list[list[str]]:
    """``[tool, text]`` of each step that has something to say."""
    texts = [[tool, find_tool(tool).plan(known, **arguments)] for tool, arguments in steps]
    return [pair for pair in texts if pair[1]]


def _build_name(item: Input) -> str:
    if item.kind is InputKind.BUILD:
        return item.path.name.removesuffix("_state.yaml")
    labels, _ = labels_of(item)
    return base_name(item.path, author="_".join(labels.get("author", ())), model_hash=item.target or "")


def _estimate(tool: str, own: Mapping[str, float], everywhere: list[dict[str, float]]) -> float | None:
    if tool in own:
        return own[tool]
    others = [durations[tool] for durations in everywhere if tool in durations]
    return statistics.median(others) if others else None
