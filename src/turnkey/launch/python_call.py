"""`evaluate_files`: the command line's main job as one Python function."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from turnkey import settings
from turnkey.errors import UsageError
from turnkey.launch.evaluation import evaluate
from turnkey.launch.options import OUTPUT_BYTES, Options
from turnkey.launch.plain_lines import PlainLines, own_stderr
from turnkey.launch.plan import labels_of
from turnkey.launch.result import Result
from turnkey.model.inputs import expand_inputs
from turnkey.model.label_filter import filter_inputs
from turnkey.pipeline.events import Listener
from turnkey.pipeline.quantity import size_bytes
from turnkey.pipeline.sequence import Sequence
from turnkey.pipeline.shard import WHOLE, Shard, parse_shard


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
    jobs: int = 1,
    slurm: Iterable[str] = (),
    wait: bool = True,
    memory_limit: int | str | None = None,
    disk_limit: int | str | None = None,
    output_limit: int | str | None = OUTPUT_BYTES,
    fresh: bool = False,
    resume: bool = False,
    retry: str | Iterable[str] = (),
    shard: str | Shard = WHOLE,
    fail_fast: bool = False,
    seed: int = 0,
    verbose: bool = False,
    quiet: bool = False,
    listen: Listener | None = None,
) -> list[Result]:
    """Send each input through a sequence of tools; what ``turnkey -i INPUTS …`` does.

    Args:
        input_files: scripts, ONNX files, state files, lists and wildcards, as on the command line.
        sequence: a `Sequence`, or its steps; None is the default sequence of each input.
        cache_dir: where results go; None is ``$TURNKEY_CACHE_DIR``, else ``~/.cache/turnkey``.
        labels: keep only inputs that have these: ``"task::translation"``.
        use_slurm: each input as a Slurm job, with ``slurm`` (``"partition=short"`` …) for ``sbatch``; ``wait=False``
            submits and returns.
        timeout: seconds per input; needs ``process_isolation``, ``jobs`` or ``use_slurm``, as the limits do.
        jobs: isolated inputs worked on at a time; more than one implies ``process_isolation``.
        memory_limit, disk_limit, output_limit: bytes, or text such as ``"4GiB"``.
        fresh: new interpreters instead of prewarmed ones, and nothing reused of earlier runs.
        retry: ``"failed"``, ``"timeout"``: like ``resume``, but of what failed only these kinds run again.
        shard: ``"2/8"``: only every eighth input, beginning with the second.
        quiet: do not tell what happens. Without it every finished tool is one line on standard error, and a long
            measurement says now and then where it is.
        listen: is told instead.

    Returns:
        One result per input, in order; a failing input does not stop the others.

    Raises:
        UsageError: the call is wrong; nothing was run.
        MissingDependencyError: there is no Slurm to use.
        Interrupted: Ctrl-C; carries the results.
    """
    words = [input_files] if isinstance(input_files, (str, Path)) else list(input_files)
    wanted = [labels] if isinstance(labels, str) else list(labels or ())
    inputs = filter_inputs(expand_inputs([os.fspath(word) for word in words]).inputs, wanted, labels_of=labels_of)
    options = Options(
        cache_dir=settings.cache_dir() if cache_dir is None else Path(cache_dir),
        lean_cache=lean_cache,
        process_isolation=process_isolation,
        jobs=jobs,
        use_slurm=use_slurm,
        slurm=(slurm,) if isinstance(slurm, str) else tuple(slurm),
        wait=wait,
        timeout=timeout,
        memory_limit=_bytes("memory_limit", memory_limit),
        disk_limit=_bytes("disk_limit", disk_limit),
        output_limit=_bytes("output_limit", output_limit),
        fresh=fresh,
        resume=resume,
        retry=(retry,) if isinstance(retry, str) else tuple(retry),
        shard=_shard(shard),
        fail_fast=fail_fast,
        seed=seed,
        verbose=verbose,
    )
    tools = sequence if sequence is None or isinstance(sequence, Sequence) else Sequence(sequence)
    if listen is not None:
        return evaluate(inputs.inputs, tools, options, listen)
    with own_stderr() as stream:
        lines = PlainLines(stream, inputs=len(inputs.inputs), quiet=quiet)
        return evaluate(inputs.inputs, tools, options, lines.listen)


def _bytes(name: str, size: int | str | None) -> int | None:
    if not isinstance(size, str):
        return size
    try:
        return size_bytes(size)
    except ValueError as error:
        raise UsageError(f"{name} is not a size", evidence=f"{size!r}: {error}", remedy='"4GiB"') from error


def _shard(shard: str | Shard) -> Shard:
    if isinstance(shard, Shard):
        return shard
    try:
        return parse_shard(shard)
    except ValueError as error:
        raise UsageError("this is not a shard", evidence=f"{shard!r}: {error}", remedy='"2/8"') from error
