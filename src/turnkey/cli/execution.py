"""Doing what a checked command asks for: inputs through tools, then closing tools; or management tools alone."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from turnkey import settings
from turnkey.cli.command import Command, ManagementStep, Work
from turnkey.cli.exit_codes import FAILURE, INTERRUPTED, SUCCESS, USAGE
from turnkey.errors import TurnkeyError, UsageError
from turnkey.pipeline.tool import ManagementContext

if TYPE_CHECKING:  # imports YAML, which management tools do without
    from turnkey.launch import Result


def execute(command: Command, words: Sequence[str]) -> int:
    """Do it; returns the exit code. Output goes to stdout, progress and notes to stderr.

    Raises:
        UsageError: a script cannot be generated; nothing was run.
    """
    if "gen_script" in command.globals:
        return _write_script(command, words)
    if command.globals.get("dry_run"):
        return _show_dry_run(command)
    if command.work is None:
        return _manage_alone(command)
    return _run_work(command, command.work, words)


def _write_script(command: Command, words: Sequence[str]) -> int:
    from turnkey.cli.outcome import print_document
    from turnkey.cli.script import write_script

    path = Path(command.globals["gen_script"])
    write_script(path, command, words)
    if command.globals.get("json"):
        print_document(exit_code=SUCCESS, notes=[f"wrote {path}"])
    return SUCCESS


def _show_dry_run(command: Command) -> int:
    from turnkey.cli.dry_run import dry_run, text_of
    from turnkey.cli.outcome import print_document

    entries = dry_run(command.work) if command.work else []
    notes = command.work.notes if command.work else ()
    if command.globals.get("json"):
        print_document(exit_code=SUCCESS, notes=notes, dry_run=entries)
        return SUCCESS
    for note in notes:
        print(note, file=sys.stderr)
    print(text_of(entries, command))
    return SUCCESS


def _run_work(command: Command, work: Work, words: Sequence[str]) -> int:
    from turnkey.cli.monitor import open_monitor
    from turnkey.cli.outcome import print_document, table
    from turnkey.cli.shell import collecting_command
    from turnkey.launch import Interrupted, evaluate, exit_code

    as_json = bool(command.globals.get("json"))
    wishes = {key: bool(command.globals.get(key)) for key in ("quiet", "verbose")}
    with open_monitor(inputs=len(work.inputs), cache_dir=work.options.cache_dir, **wishes) as monitor:
        for note in work.notes:
            monitor.note(note)
        try:
            results = evaluate(work.inputs, work.sequence, work.options, listen=monitor.listen)
            code = exit_code(results)
            if not work.options.wait:
                monitor.note(f"collect the jobs with: {collecting_command(words)}")
        except Interrupted as interruption:
            results, code = interruption.results, INTERRUPTED
    if not as_json:
        print(table(results, width=_terminal_columns()))
    answers: dict[str, Any] = {}
    if code != INTERRUPTED:
        code = max(code, _manage(command.management, _closing_context(command, work, results), answers))
    if as_json:
        print_document(exit_code=code, results=results, tools=answers, notes=monitor.notes)
    return code


def _terminal_columns() -> int | None:
    """None without a terminal."""
    if sys.stdout is None or not sys.stdout.isatty():
        return None
    import shutil  # management tools do without

    return shutil.get_terminal_size().columns


def _manage_alone(command: Command) -> int:
    answers: dict[str, Any] = {}
    context = ManagementContext(
        cache_dir=str(command.globals.get("cache_dir") or settings.cache_dir()),
        as_json=bool(command.globals.get("json")),
        globals=command.globals,
        quiet=bool(command.globals.get("quiet")),
    )
    code = _manage(command.management, context, answers)
    if command.globals.get("json"):
        from turnkey.cli.outcome import print_document

        print_document(exit_code=code, tools=answers)
    return code


def _closing_context(command: Command, work: Work, results: Sequence[Result]) -> ManagementContext:
    """The builds of this call, wherever they lie."""
    built = [result for result in results if result.build_name]
    return ManagementContext(
        cache_dir=str(work.options.cache_dir),
        as_json=bool(command.globals.get("json")),
        build_names=tuple(dict.fromkeys(result.build_name for result in built)),
        cache_dirs=tuple(dict.fromkeys(str(result.cache_dir) for result in built)),
        globals=command.globals,
        quiet=bool(command.globals.get("quiet")),
    )


def _manage(steps: Sequence[ManagementStep], context: ManagementContext, answers: dict[str, Any]) -> int:
    """Run management tools in order; the worst exit code.

    Args:
        answers: gets what each tool answered to ``--json``; the second ``report`` is ``report-2``.
    """
    codes = [SUCCESS]
    counts: dict[str, int] = {}
    for step in steps:
        tool = step.tool.name
        counts[tool] = counts.get(tool, 0) + 1
        name = tool if counts[tool] == 1 else f"{tool}-{counts[tool]}"
        try:
            if context.as_json:
                code, answers[name] = _answer(step, context)
            else:
                code = step.tool().manage(context, **step.arguments)
            codes.append(code)
        except TurnkeyError as error:
            nothing_was_run = isinstance(error, UsageError) and context.build_names is None
            codes.append(USAGE if nothing_was_run else FAILURE)
            answers[name] = {"error": error.to_dict()}
            print(error, file=sys.stderr)
    return max(codes)


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
