"""The command ``turnkey``: check everything, then do it, and answer with an exit code.

Nearly everything is imported inside functions: what needs YAML, numpy or torch where it is used, so that ``-h`` and
``version`` answer without them; the rest so that Ctrl-C during the imports is an interruption like any other.
"""

from __future__ import annotations

import errno
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from turnkey.cli.exit_codes import FAILURE, INTERRUPTED, SUCCESS, TERMINATED, USAGE
from turnkey.cli.termination import sigterm_interrupts

if TYPE_CHECKING:
    from turnkey.cli.splitter import Section
    from turnkey.errors import TurnkeyError


def main(tokens: Sequence[str] | None = None) -> int:
    """Run a command line (by default that of the process) and return its exit code."""
    words = list(sys.argv[1:] if tokens is None else tokens)
    if tokens is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the terminal cannot show is no failure
    with sigterm_interrupts() as termination:
        code = _answered(words)
    if termination.was_told and code == INTERRUPTED:
        print("terminated: this process was told to end (SIGTERM)", file=sys.stderr)
        return TERMINATED
    return code


def _answered(words: list[str]) -> int:
    """The exit code, whatever happens."""
    try:
        code = _run(words)
        if sys.stdout is not None:
            sys.stdout.flush()  # who has gone, or is full, is noticed here and not at the end of the interpreter
        return code
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone (turnkey -h | head); nothing is left to say, not even at exit.
        _drop_output()
        return FAILURE
    except Exception as error:  # noqa: BLE001 - whatever escapes is a defect of ours, and says so
        if isinstance(error, OSError) and error.errno == errno.ENOSPC and error.filename is None:  # no file of ours
            print(f"the output cannot be written: {error.strerror}", file=sys.stderr)
            _drop_output()
            return FAILURE
        _confess(error, as_json="--json" in words)
        return FAILURE


def _drop_output() -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _run(words: list[str]) -> int:
    from turnkey.cli.catalogue import grammar
    from turnkey.cli.splitter import split
    from turnkey.errors import TurnkeyError, UsageError

    if words[:1] == ["completion-answer"]:
        from turnkey.cli.completion import answer

        print("\n".join(answer(words[1:], grammar())))
        return SUCCESS
    as_json = "--json" in words
    try:
        known = grammar()
        sections = split(words, known)
        if not words or any(section.has("help") for section in sections):
            return _help(sections)
        if sections[0].has("version"):
            from turnkey.version import __version__

            print(__version__)
            return SUCCESS
        from turnkey.cli.command import check

        command = check(sections, known)
        from turnkey.cli.execution import execute

        return execute(command, words)
    except TurnkeyError as error:
        code = USAGE if isinstance(error, UsageError) else FAILURE
        _refuse(error, exit_code=code, as_json=as_json)
        return code


def _help(sections: Sequence[Section]) -> int:
    from turnkey.cli.help import program_help, terminal_width, tool_help
    from turnkey.pipeline.toolbox import find_tool

    asked = next((section for section in sections if section.has("help")), sections[0])
    if asked.tool:
        print(tool_help(find_tool(asked.tool), width=terminal_width()))
    else:
        from turnkey.cli.catalogue import load_catalogue

        print(program_help(load_catalogue(), width=terminal_width()))
    return SUCCESS


def _refuse(error: TurnkeyError, *, exit_code: int, as_json: bool) -> None:
    from turnkey import settings

    if settings.traceback_mode() == "full":
        import traceback

        traceback.print_exception(error)
    if as_json:
        from turnkey.cli.outcome import print_document

        print_document(exit_code=exit_code, error=error)
    else:
        print(error, file=sys.stderr)


def _confess(error: Exception, *, as_json: bool) -> None:
    from turnkey import settings

    if settings.traceback_mode() == "none":
        print(f"Status: Unknown turnkey error: {error}", file=sys.stderr)
    else:
        import traceback

        traceback.print_exception(error)
        print("This is a defect of Turnkey; please report it with the lines above and the command.", file=sys.stderr)
    if as_json:
        from turnkey.cli.outcome import print_document
        from turnkey.errors import TurnkeyError

        said = f"{type(error).__name__}: {error}"
        print_document(exit_code=FAILURE, error=TurnkeyError("unknown turnkey error", evidence=said))


if __name__ == "__main__":
    sys.exit(main())
