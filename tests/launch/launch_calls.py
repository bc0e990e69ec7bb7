"""Calls of `evaluate` over scripts as the tests of launching make them: here, or in a process that may be killed."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from turnkey.launch import Options, Result, evaluate
from turnkey.model.inputs import expand_inputs
from turnkey.pipeline.events import Event
from turnkey.pipeline.sequence import Sequence


def launched(
    paths: Iterable[Path | str],
    cache: Path,
    steps: Iterable[Any] = ("obey",),
    *,
    events: list[Event] | None = None,
    **options: Any,
) -> list[Result]:
    """Scripts through tools of ``tests/plugins``, with these fields of `Options`; what happens goes to ``events``."""
    return evaluate(
        expand_inputs([str(path) for path in paths]).inputs,
        Sequence(steps),
        Options(cache_dir=cache, **options),
        (events if events is not None else []).append,
    )


def call_in_process(
    paths: Iterable[Path],
    cache: Path,
    steps: Iterable[Any] = ("obey",),
    *,
    variables: Mapping[str, str] | None = None,
    **options: Any,
) -> subprocess.Popen[str]:
    """The same in a session of its own: it prints the status of every input, and ends with 130 after Ctrl-C."""
    text = textwrap.dedent(f"""
        from turnkey.launch import Interrupted, Options, evaluate
        from turnkey.model.inputs import expand_inputs
        from turnkey.pipeline.sequence import Sequence
        code = 0
        try:
            results = evaluate(
                expand_inputs({[str(path) for path in paths]!r}).inputs,
                Sequence({list(steps)!r}),
                Options(cache_dir={str(cache)!r}, **{options!r}),
            )
        except Interrupted as interruption:
            results, code = interruption.results, 130
        print(*[result.status for result in results], flush=True)
        raise SystemExit(code)
        """)
    return subprocess.Popen(
        [sys.executable, "-c", text],
        stdout=subprocess.PIPE,
        start_new_session=True,
        text=True,
        env={**os.environ, **(variables or {})},
    )


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.02)


def numbers_in(path: Path) -> list[int]:
    """Of the one line of a file that somebody else writes, once it is whole."""
    wait_until(lambda: path.exists() and path.read_text().endswith("\n"))
    return [int(word) for word in path.read_text().split()]
