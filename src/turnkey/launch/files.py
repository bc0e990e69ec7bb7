"""`evaluate_files`: the command line's main job as one Python function."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.errors import UsageError
from turnkey.launch.evaluation import evaluate
from turnkey.launch.options import Options
from turnkey.launch.plan import labels_of
from turnkey.launch.result import Result
from turnkey.model.inputs import expand_inputs
from turnkey.model.label_filter import filter_inputs
from turnkey.pipeline.events import Listener, silent
from turnkey.pipeline.quantity import size_bytes
from turnkey.pipeline.sequence import Sequence


def evaluate_files(
    input_files: str | Path | Iterable[str | Path],
    sequence: Sequence | Iterable[tuple[str, Mapping[str, Any]] | str] | None = None,
    cache_dir: str | Path | None = None,
    lean_cache: bool = False,
    labels: str | Iterable[str] | None = None,
    use_slurm: bool = False,
    process_isolation: bool = False,
    timeout: float | None = None,
    *,
    memory_limit: int | str | None = None,
    resume: bool = False,
    fail_fast: bool = False,
    seed: int = 0,
    verbose: bool = False,
    listen: Listener = silent,
) -> list[Result]:
    """Send each input through a sequence of tools; what ``turnkey -i INPUTS …`` does.

    Args:
        input_files: scripts, ONNX files, state files, lists and wildcards, as on the command line.
        sequence: a `Sequence`, or its steps; None is the default sequence of each input.
        cache_dir: where results go; None is ``$TURNKEY_CACHE_DIR``, else ``~/.cache/turnkey``.
        labels: keep only inputs that have these: ``"task::translation"``.
        timeout: seconds per input; needs ``process_isolation``, as ``memory_limit`` does.
        memory_limit: bytes, or text such as ``"4GiB"``.
        listen: is told what happens.

    Returns:
        One result per input, in order; a failing input does not stop the others.

    Raises:
        UsageError: the call is wrong; nothing was run.
        Interrupted: Ctrl-C; carries the results.
    """
    if use_slurm:
        raise UsageError(
            "this version of Turnkey does not submit Slurm jobs",
            evidence="use_slurm=True",
            remedy="process_isolation=True runs each input in a process of its own on this machine",
        )
    words = [input_files] if isinstance(input_files, (str, Path)) else list(input_files)
    wanted = [labels] if isinstance(labels, str) else list(labels or ())
    inputs = filter_inputs(expand_inputs([os.fspath(word) for word in words]).inputs, wanted, labels_of=labels_of)
    return evaluate(
        inputs.inputs,
        sequence if sequence is None or isinstance(sequence, Sequence) else Sequence(sequence),
        Options(
            cache_dir=settings.cache_dir() if cache_dir is None else Path(cache_dir),
            lean_cache=lean_cache,
            process_isolation=process_isolation,
            timeout=timeout,
            memory_limit=_bytes(memory_limit),
            resume=resume,
            fail_fast=fail_fast,
            seed=seed,
            verbose=verbose,
        ),
        listen,
    )


def _bytes(size: int | str | None) -> int | None:
    if not isinstance(size, str):
        return size
    try:
        return size_bytes(size)
    except ValueError as error:
        raise UsageError("memory_limit is not a size", evidence=f"{size!r}: {error}", remedy='"4GiB"') from error
