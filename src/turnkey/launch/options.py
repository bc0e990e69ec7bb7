"""What holds for all inputs of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from pathlib import Path

from turnkey import settings
from turnkey.errors import UsageError
from turnkey.pipeline.shard import WHOLE, Shard

WORTHWHILE_INPUTS = 3
"""Fewer fresh interpreters than that cost less than warming a template up."""

RETRIES = ("failed", "timeout")
"""Kinds of failure that ``retry`` names. What was interrupted is gone on with in any case: it did not fail."""

OUTPUT_BYTES = 1 << 30
"""What an isolated input may write into its logs unless something else is asked for."""

_OF_OWN_PROCESSES = ("timeout", "memory_limit", "disk_limit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a call works on its inputs; the command line's global arguments under the same names.

    Attributes:
        jobs: isolated inputs worked on at a time; more than one implies ``process_isolation``.
        use_slurm: each input as a Slurm job; excludes ``process_isolation``.
        slurm: parameters of ``sbatch``, as ``KEY=VALUE``.
        wait: for the Slurm jobs; else submit and return.
        timeout: seconds per input; None is `settings.timeout_seconds`. Only for inputs with processes of their own.
        memory_limit: bytes, for the process tree of one such input; None is no limit.
        disk_limit, output_limit: bytes of its build and temporary directories, and of its logs; None is no limit.
        fresh: new interpreters instead of prewarmed ones, and nothing reused of earlier runs.
        prewarm: from how many inputs on a template is warmed up for isolated ones.
        resume: skip what an equal work item finished, go on with what was interrupted, repeat what failed.
        retry: of what failed only these kinds: ``failed``, ``timeout``; other failures stay. Implies ``resume``.
        shard: work on every n-th input only, from the i-th on, i from 1.
        fail_fast: stop at the first input that fails.
        seed: of everything that Turnkey draws at random; tools find it as ``state.environment["seed"]``.
        verbose: show on the terminal what scripts and tools print.
    """

    cache_dir: Path = field(default_factory=settings.cache_dir)
    lean_cache: bool = False
    process_isolation: bool = False
    jobs: int = 1
    use_slurm: bool = False
    slurm: tuple[str, ...] = ()
    wait: bool = True
    timeout: float | None = None
    memory_limit: int | None = None
    disk_limit: int | None = None
    output_limit: int | None = OUTPUT_BYTES
    fresh: bool = False
    prewarm: int = WORTHWHILE_INPUTS
    resume: bool = False
    retry: tuple[str, ...] = ()
    shard: Shard = WHOLE
    fail_fast: bool = False
    seed: int = 0
    verbose: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cache_dir", settings.absolute_path(self.cache_dir))
        for name in ("slurm", "retry"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check()
        if self.retry:
            object.__setattr__(self, "resume", True)
        if self.jobs > 1:
            object.__setattr__(self, "process_isolation", True)
        if self.has_own_processes and self.timeout is None:
            object.__setattr__(self, "timeout", settings.timeout_seconds())

    @property
    def has_own_processes(self) -> bool:
        """Whether each input has a process of its own, so that limits can be kept."""
        return self.process_isolation or self.use_slurm or self.jobs > 1

    def _check(self) -> None:
        """Refuse what contradicts itself or limits nothing, in the words of the command line. Raises UsageError."""
        for name in ("jobs", *_OF_OWN_PROCESSES, "output_limit"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:  # NaN would limit nothing
                raise UsageError(f"--{name.replace('_', '-')} must be above 0", evidence=f"it is {value}")
        unknown = sorted(set(self.retry) - set(RETRIES))
        if unknown:
            raise UsageError(f"{unknown[0]!r} cannot be retried", evidence=f"kinds of failure: {', '.join(RETRIES)}")
        if self.process_isolation and self.use_slurm:
            raise UsageError(
                "--process-isolation and --use-slurm exclude each other",
                remedy="leave one of them out: a Slurm job is a process of its own",
            )
        if self.use_slurm and self.jobs > 1:
            raise UsageError(
                "--jobs is for this machine, --use-slurm for a cluster",
                evidence=f"--jobs {self.jobs} --use-slurm",
                remedy=f"how many jobs Slurm runs at a time: --slurm array_parallelism={self.jobs}",
            )
        for flag, is_given in (("--slurm", bool(self.slurm)), ("--no-wait", not self.wait)):
            if is_given and not self.use_slurm:
                raise UsageError(
                    f"{flag} is about Slurm jobs", evidence=f"{flag} without --use-slurm", remedy="add --use-slurm"
                )
        for name in _OF_OWN_PROCESSES:
            if getattr(self, name) is not None and not self.has_own_processes:
                flag = f"--{name.replace('_', '-')}"
                raise UsageError(
                    f"{flag} needs inputs in processes of their own",
                    evidence=f"{flag} without --process-isolation, --jobs or --use-slurm",
                    remedy="add --process-isolation (in Python: process_isolation=True)",
                )
