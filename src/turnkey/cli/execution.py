"""Doing what a checked command asks for: inputs through tools, then closing tools; or management tools alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.cli.command import Command, ManagementStep, Work
from turnkey.errors import TurnkeyError, UsageError
from turnkey.pipeline.tool import ManagementContext


def execute(command: Command, words: Sequence[str]) -> int:
    """Do it; returns the exit code. Output goes to stdout, progress and notes to stderr.

    Raises:
        UsageError: a script cannot be generated; nothing was run.
    """
    if "gen_script" in command.globals:
        from turnkey.cli.script import write_script

        write_script(Path(command.globals["gen_script"]), command, words)
        return 0
    if command.work is None:
        return _manage_alone(command)
    if command.globals.get("dry_run"):
        return _show_dry_run(command, command.work)
    return _run_work(command, command.work)


def _show_dry_run(command: Command, work: Work) -> int:
    from turnkey.cli.dry_run import dry_run, text_of
    from turnkey.cli.outcome import print_document

    entries = dry_run(work)
    if command.globals.get("json"):
        print_document(exit_code=0, notes=work.notes, dry_run=entries)
        return 0
    for note in work.notes:
        print(note, file=sys.stderr)
    print(text_of(entries, command, work))
    return 0


def _run_work(command: Command, work: Work) -> int:
    from turnkey.cli.monitor import open_monitor
    from turnkey.cli.outcome import print_document, table
    from turnkey.launch import Interrupted, evaluate, exit_code

    as_json = bool(command.globals.get("json"))
    wishes = {key: bool(command.globals.get(key)) for key in ("quiet", "verbose")}
    with open_monitor(inputs=len(work.inputs), **wishes) as monitor:
        for note in work.notes:
            monitor.note(note)
        try:
            results = evaluate(work.inputs, work.sequence, work.options, listen=monitor.listen)
            code = exit_code(results)
        except Interrupted as interruption:
            results, code = interruption.results, 130
    if not as_json:
        print(table(results))
    answers: dict[str, Any] = {}
    if code != 130:
        builds = tuple(dict.fromkeys(result.build_name for result in results if result.build_name))
        caches = tuple(dict.fromkeys(result.cache_dir for result in results)) or (work.options.cache_dir,)
        code = max(code, _manage(command, cache_dir=caches[0], build_names=builds, answers=answers))
    if as_json:
        notes = [*work.notes, *monitor.notes]
        print_document(exit_code=code, results=results, tools=answers, notes=notes)
    return code


def _manage_alone(command: Command) -> int:
    answers: dict[str, Any] = {}
    cache_dir = Path(command.globals.get("cache_dir") or settings.cache_dir())
    code = _manage(command, cache_dir=cache_dir, build_names=None, answers=answers)
    if command.globals.get("json"):
        from turnkey.cli.outcome import print_document

        print_document(exit_code=code, tools=answers)
    return code


def _manage(command: Command, *, cache_dir: Path, build_names: tuple[str, ...] | None, answers: dict[str, Any]) -> int:
    """Run the management tools in order; the worst exit code. With ``--json`` their output goes to ``answers``."""
    as_json = bool(command.globals.get("json"))
    context = ManagementContext(
        cache_dir=str(cache_dir),
        as_json=as_json,
        build_names=build_names,
        globals=command.globals,
        quiet=bool(command.globals.get("quiet")),
    )
    codes = [0]
    for step, name in zip(command.management, _names(command.management), strict=True):
        try:
            if as_json:
                code, answers[name] = _answer(step, context)
            else:
                code = step.tool().manage(context, **step.arguments)
            codes.append(code)
        except TurnkeyError as error:
            codes.append(2 if isinstance(error, UsageError) else 1)
            answers[name] = {"error": error.to_dict()}
            print(error, file=sys.stderr)
    return max(codes)


def _names(steps: Sequence[ManagementStep]) -> list[str]:
    """Names of the answers: the second ``report`` is ``report-2``."""
    names: list[str] = []
    for step in steps:
        again = sum(name.split("-", 1)[0] == step.tool.name or name == step.tool.name for name in names)
        names.append(step.tool.name if not again else f"{step.tool.name}-{again + 1}")
    return names


def _answer(step: ManagementStep, context: ManagementContext) -> tuple[int, Any]:
    """The exit code of a tool and what it printed, decoded; text of a plug-in that knows no JSON stays text."""
    import io
    import json
    from contextlib import redirect_stdout

    output = io.StringIO()
    with redirect_stdout(output):
        code = step.tool().manage(context, **step.arguments)
    try:
        return code, json.loads(output.getvalue())
    except ValueError:
        return code, output.getvalue()
