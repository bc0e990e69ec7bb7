"""``--gen-script``: the plain Python that does what a command does."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnkey.cli.command import Command, Work, option_values
from turnkey.errors import UsageError

_HEADER = '''"""Does the same as this command, run from {directory!r}:

    {command}
"""

import turnkey
'''

_CLOSING = """
context = ManagementContext(
    cache_dir={cache_dir!r},
    build_names=tuple(result.build_name for result in results if result.build_name),
    cache_dirs=tuple(dict.fromkeys(str(result.cache_dir) for result in results if result.build_name)),
    globals={{}},
)
"""


def write_script(path: Path, command: Command, words: Sequence[str]) -> None:
    """Write the script of a command with inputs.

    Raises:
        UsageError: the command has no inputs, the file exists already or cannot be written.
    """
    if command.work is None:
        raise UsageError("--gen-script needs inputs", remedy="turnkey -i INPUTS --gen-script FILE TOOL …")
    try:
        with open(path, "x", encoding="utf-8") as file:
            file.write(script_text(command, command.work, words))
    except FileExistsError as error:
        raise UsageError(
            f"{path} exists already", evidence=f"--gen-script {path}", remedy=f"choose another name, or: rm {path}"
        ) from error
    except OSError as error:
        raise UsageError(f"{path} cannot be written", evidence=error.strerror or str(error)) from error


def script_text(command: Command, work: Work, words: Sequence[str]) -> str:
    """The text of the script: `turnkey.evaluate_files` with every value that differs from its default."""
    printed = shlex.join(["turnkey", *_without_script_option(words)]).replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    text = _HEADER.format(directory=os.getcwd(), command=printed)
    if command.management:
        text += "from turnkey.pipeline.tool import ManagementContext\nfrom turnkey.pipeline.toolbox import find_tool\n"
    text += "\nresults = turnkey.evaluate_files(\n"
    text += f"    {[item.text for item in work.inputs]!r},\n"
    if work.sequence is not None:
        steps = "".join(f"            ({name!r}, {dict(values)!r}),\n" for name, values in work.sequence.steps)
        text += f"    sequence=turnkey.Sequence(\n        [\n{steps}        ]\n    ),\n"
    for key, value in _call_arguments(command.globals, work).items():
        text += f"    {key}={value!r},\n"
    text += ")\n"
    if command.management:
        text += _CLOSING.format(cache_dir=str(work.options.cache_dir))
        for step in command.management:
            text += f"find_tool({step.tool.name!r})().manage(context, **{dict(step.arguments)!r})\n"
    text += 'for result in results:\n    print(result.input, result.status, result.build_dir, result.error or "")\n'
    return text + "raise SystemExit(turnkey.exit_code(results))\n"


def _call_arguments(given: Mapping[str, Any], work: Work) -> dict[str, Any]:
    """What `turnkey.evaluate_files` is called with, as values whose text is Python."""
    values = {**option_values(given), "cache_dir": str(work.options.cache_dir)}
    if "shard" in values:
        values["shard"] = str(values["shard"])
    return values


def _without_script_option(words: Sequence[str]) -> list[str]:
    kept: list[str] = []
    skip = False
    for word in words:
        if skip or word.startswith("--gen-script="):
            skip = False
        elif word == "--gen-script":
            skip = True
        else:
            kept.append(word)
    return kept
