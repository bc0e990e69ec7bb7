"""What a call came to: a table of inputs and counts for people, one JSON document for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from turnkey import settings
from turnkey.errors import ArtifactError, InputError, MissingDependencyError, TurnkeyError, UsageError
from turnkey.version import __version__

if TYPE_CHECKING:
    from turnkey.launch import Result
    from turnkey.pipeline.failure import Failure

SCHEMA_VERSION = 1
"""Of the document of ``--json``; keys may be added under the same version, none change their meaning."""


def document(
    *,
    exit_code: int,
    error: TurnkeyError | None = None,
    results: Sequence[Result] = (),
    tools: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
) -> dict[str, Any]:
    """The document of ``--json``.

    Keys: ``schema_version``, ``turnkey_version``, ``exit_code``, ``error`` (of the command, else None), ``notes``,
    ``results`` (one per input, in order), ``tools`` (what management and closing tools answered, by name).
    """
    return {
        "schema_version": SCHEMA_VERSION,
        "turnkey_version": __version__,
        "exit_code": exit_code,
        "error": error.to_dict() if error else None,
        "notes": list(notes),
        "results": [_result_fields(result) for result in results],
        "tools": dict(tools or {}),
    }


def print_document(*, exit_code: int, dry_run: Sequence[Mapping[str, Any]] | None = None, **fields: Any) -> None:
    """Print the document of ``--json``; of a dry run with one more key, ``dry_run``."""
    made = document(exit_code=exit_code, **fields)
    if dry_run is not None:
        made["dry_run"] = list(dry_run)
    print(json.dumps(made, indent=2, default=str))


def _result_fields(result: Result) -> dict[str, Any]:
    return {
        "input": result.input,
        "status": result.status,
        "build_name": result.build_name,
        "build_dir": str(result.build_dir) if result.build_dir else None,
        "hash": result.model_hash,
        "reason": result.reason,
        "seconds": round(result.seconds, 3),
        "error": result.failure.error.to_dict() if result.failure else None,
        "tool": result.failure.tool if result.failure else None,
        "statistics": dict(result.state.statistics) if result.state else {},
    }


def table(results: Sequence[Result], *, width: int | None = None) -> str:
    """One row per input, its error under it, then the counts; of many inputs the failures by cause instead.

    Args:
        width: of the terminal to fold rows to; None leaves each a line.
    """
    from turnkey.cli.causes import causes  # these import YAML, which management tools do without
    from turnkey.launch.tally import MANY_INPUTS
    from turnkey.pipeline.printable import printable
    from turnkey.report.aligned import aligned_lines
    from turnkey.report.terminal import folded

    rows = [("input", "status", "hash", "result", "build directory")]
    rows += [
        (
            printable(result.input),
            result.status,
            result.model_hash or "-",
            printable(headline(result)),
            str(result.build_dir) if result.build_dir else "-",
        )
        for result in results
    ]
    headings, *shown = [[line] for line in aligned_lines(rows)] if width is None else folded(rows, width=width)
    lines = [*headings]
    for result, row in zip(results, shown, strict=True):
        lines += row
        if result.failure and len(results) < MANY_INPUTS and not result.was_interrupted:
            lines += [f"  {line}" for line in failure_text(result.failure).splitlines()]
    found = causes(results)
    if len(results) >= MANY_INPUTS and found:
        lines += ["", "failures by cause", *(f"  {line}" for cause in found for line in str(cause).splitlines())]
    counts = Counter(result.status for result in results)
    total = "1 input" if len(results) == 1 else f"{len(results)} inputs"
    lines += ["", f"{total}: " + ", ".join(f"{number} {status}" for status, number in counts.items())]
    return printable("\n".join(lines), keep="\n\t")


def headline(result: Result) -> str:
    """What a row says of an input: its latency where one was measured, else how far it came, and what was reused."""
    reused = list(result.state.statistics.get("reused_tools") or ()) if result.state else []
    text = _achievement(result)
    return f"{text} (reused: {', '.join(map(str, reused))})" if reused and result.status == "successful" else text


def _achievement(result: Result) -> str:
    from turnkey.report.figure import interval

    if result.was_interrupted:
        return f"{result.failure.tool} {result.reason}".lstrip() if result.failure else result.reason
    if result.failure:
        return f"{result.failure.tool or 'turnkey'} failed"
    statistics = result.state.statistics if result.state else {}
    if result.status != "successful":
        return result.reason or "-"
    latency = statistics.get("median_latency_ms")
    if latency is not None:
        low, high = statistics.get("latency_low_ms"), statistics.get("latency_high_ms")
        text = f"{interval(latency, low, high)} ms on {statistics.get('runtime', '?')}"
        return text if statistics.get("validity") in (None, "VALID") else f"{text} ({statistics['validity']})"
    verified = statistics.get("verify_status")
    if verified:
        return str(verified)
    tools = statistics.get("selected_sequence_of_tools") or []
    return f"{tools[-1]} done" if tools else "-"


def failure_text(failure: Failure) -> str:
    """An error under its input, as much of it as TURNKEY_TRACEBACK asks for."""
    mode = settings.traceback_mode()
    if mode == "none":
        error = failure.error
        text = f"{error.title}: {error.what}" if failure.is_known else f"Unknown turnkey error: {error.evidence}"
        return f"Status: {text}"
    if mode == "full":
        return f"{failure.error}\n{failure.full_traceback}".rstrip()
    return f"{failure.error}\n{_telling_traceback(failure)}".rstrip()


def _telling_traceback(failure: Failure) -> str:
    """The traceback of script, model or library, unless the error shows it already or is about a file."""
    if isinstance(failure.error, (UsageError, InputError, MissingDependencyError, ArtifactError)):
        return ""
    shown = {line.strip() for line in str(failure.error).splitlines()}
    lines = failure.user_traceback.splitlines()
    return "" if all(line.strip() in shown for line in lines[1:]) else failure.user_traceback
