"""Scripts beside each model that repeat one command of the run, runnable as they are: a ``.py`` and a ``.sh`` each."""

from __future__ import annotations

import os
import shlex
import sys

from turnkey.navigator.status import CORRECTNESS, PERFORMANCE, CommandStatus, Status
from turnkey.navigator.workspace import Workspace
from turnkey.pipeline import durable

_SCRIPT = '''\
#!/usr/bin/env python3
"""Repeats {what} of {key}{on} in this workspace.{hint}"""

import sys
from pathlib import Path

from turnkey.navigator.reproduce import main

raise SystemExit(main([{command!r}, str(Path(__file__).resolve().parent.parent), {key!r}, {runner!r}, *sys.argv[1:]]))
'''
_HINT = """

The source model is no part of the workspace: --model package.module:name says where it is, an object or a function
that makes it. Without it the command is repeated as far as the files of the workspace allow.
"""


def write_scripts(status: Status, workspace: Workspace) -> None:
    """Write a script for every command that ran. Raises InputError if one cannot be written."""
    for key, model in status.models.items():
        for command, run in model.commands.items():
            if run.status in (CommandStatus.OK, CommandStatus.FAIL):
                _write(workspace, key, command.lower(), "", has_source=True)
        for name, runner in model.runners_status.items():
            for command in (CORRECTNESS, PERFORMANCE):
                if runner.ended(command) in (CommandStatus.OK, CommandStatus.FAIL):
                    is_source = model.model_config.format.is_source
                    _write(workspace, key, command.lower(), name, has_source=is_source)


def _write(workspace: Workspace, key: str, command: str, runner: str, *, has_source: bool) -> None:
    stem = f"reproduce_{command}-{runner}" if runner else f"reproduce_{command}"
    directory = workspace.model(key)
    durable.make_directory(directory)
    text = _SCRIPT.format(
        what=command,
        key=key,
        on=f" on {runner}" if runner else "",
        hint=_HINT if has_source else "",
        command=command,
        runner=runner,
    )
    script = directory / f"{stem}.py"
    durable.write_text(script, text)
    shell = directory / f"{stem}.sh"
    call = f'exec {shlex.quote(sys.executable)} "$(dirname "$0")/{script.name}" "$@"'
    durable.write_text(shell, f"#!/bin/sh\n{call}\n")
    for path in (script, shell):
        os.chmod(path, 0o755)
