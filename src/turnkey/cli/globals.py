"""The global arguments: those before the first tool, which hold for every input and tool of a call."""

from __future__ import annotations

from turnkey import settings
from turnkey.pipeline.quantity import positive_count, positive_number, size_bytes, whole_number
from turnkey.pipeline.shard import parse_shard
from turnkey.pipeline.tool import Argument, Arity

INPUTS = Argument(
    flags=("-i", "--input-files", "--inputs-files"),
    arity=Arity.MANY,
    dest="input_files",
    metavar="INPUT",
    help="scripts (.py, .py::hash), ONNX files (.onnx), builds (_state.yaml), Model Library Format tarballs (.tar), "
    "lists of inputs (.txt), wildcards; words without -i are inputs too",
)


def key_value(text: str) -> str:
    """``KEY=VALUE``, unchanged."""
    key, separator, _ = text.partition("=")
    if not key or not separator:
        raise ValueError("it must be KEY=VALUE, such as partition=short")
    return text


GLOBALS: tuple[Argument, ...] = (
    INPUTS,
    Argument(
        flags=("-d", "--cache-dir"),
        parse=settings.absolute_path,
        default=settings.cache_dir,
        default_text="$TURNKEY_CACHE_DIR, else ~/.cache/turnkey",
        metavar="DIR",
        help="directory of all results",
    ),
    Argument(
        flags=("--lean-cache",),
        arity=Arity.FLAG,
        default=False,
        help="remove artifacts at the end; logs, .json and .yaml files and measurement records stay",
    ),
    Argument(
        flags=("--labels",),
        arity=Arity.MANY,
        metavar="KEY::VALUE",
        help="keep only inputs that have every one of these labels: task::translation,summarization",
    ),
    Argument(
        flags=("--process-isolation",),
        arity=Arity.FLAG,
        default=False,
        help="each input in a process of its own, so that a crash or a hang of one does not stop the others",
    ),
    Argument(
        flags=("--use-slurm",),
        arity=Arity.FLAG,
        default=False,
        help="each input as a Slurm job of its own (docs/slurm.md); excludes --process-isolation",
    ),
    Argument(
        flags=("--timeout",),
        parse=positive_number,
        default=settings.timeout_seconds,
        default_text="$TURNKEY_TIMEOUT_SECONDS, else 3600",
        metavar="SECONDS",
        help="limit per input; needs --process-isolation, --jobs or --use-slurm",
    ),
    Argument(
        flags=("--jobs",),
        parse=positive_count,
        default=1,
        metavar="N",
        help="isolated inputs worked on at a time; a measurement still has its processors alone",
    ),
    Argument(
        flags=("--memory-limit",),
        parse=size_bytes,
        default_text="none",
        metavar="SIZE",
        help="memory of each input with all that it starts, such as 4GiB; needs --process-isolation",
    ),
    Argument(
        flags=("--disk-limit",),
        parse=size_bytes,
        default_text="none",
        metavar="SIZE",
        help="size of each input's build directory and temporary files; needs --process-isolation",
    ),
    Argument(
        flags=("--output-limit",),
        parse=size_bytes,
        default_text="1GiB",
        metavar="SIZE",
        help="size of the logs of each isolated input",
    ),
    Argument(
        flags=("--fresh",),
        arity=Arity.FLAG,
        default=False,
        help="new interpreters instead of prewarmed ones, and nothing reused of earlier runs",
    ),
    Argument(
        flags=("--resume", "--continue"),
        arity=Arity.FLAG,
        default=False,
        help="skip what an equal call finished, go on with what was interrupted, repeat what failed",
    ),
    Argument(
        flags=("--retry",),
        arity=Arity.MANY,
        choices=("failed", "timeout"),
        metavar="KIND",
        help="like --resume, but of what failed only these kinds run again",
    ),
    Argument(
        flags=("--shard",),
        parse=parse_shard,
        default_text="all inputs",
        metavar="I/N",
        help="work on every N-th input only, beginning with the I-th: a part for each of N machines",
    ),
    Argument(
        flags=("--fail-fast",),
        arity=Arity.FLAG,
        default=False,
        help="stop at the first input that fails",
    ),
    Argument(
        flags=("--slurm",),
        arity=Arity.MANY,
        parse=key_value,
        metavar="KEY=VALUE",
        help="parameters of sbatch: partition, account, constraint, mem, cpus and so on",
    ),
    Argument(
        flags=("--no-wait",),
        arity=Arity.FLAG,
        default=False,
        help="submit the Slurm jobs and return; the same command with --resume collects them",
    ),
    Argument(
        flags=("--dry-run",),
        arity=Arity.FLAG,
        default=False,
        help="print the inputs and what would run on each; change nothing",
    ),
    Argument(
        flags=("--gen-script",),
        metavar="FILE",
        help="write the plain Python that does the same, and run nothing",
    ),
    Argument(
        flags=("--json",),
        arity=Arity.FLAG,
        default=False,
        help="one JSON document on the standard output, progress on the standard error",
    ),
    Argument(
        flags=("--seed",),
        parse=whole_number,
        default=0,
        metavar="N",
        help="seed of everything that Turnkey draws at random",
    ),
    Argument(flags=("-q", "--quiet"), arity=Arity.FLAG, default=False, help="no progress, only results and errors"),
    Argument(flags=("-v", "--verbose"), arity=Arity.FLAG, default=False, help="show what scripts and tools print"),
    Argument(flags=("--version",), arity=Arity.FLAG, default=False, help="print the version"),
)
"""Rows in the order of the help; ``-h``/``--help`` belongs to every section and is added by the splitter."""
