"""What holds for all inputs of a call."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from turnkey import settings
from turnkey.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a call works on its inputs; the command line's global arguments under the same names.

    Attributes:
        timeout: seconds per input; None is `settings.timeout_seconds`. Only for isolated inputs.
        memory_limit: bytes, for the process tree of one isolated input; None is no limit.
        resume: skip what an equal work item finished, go on with what was interrupted, repeat what failed.
        fail_fast: stop at the first input that fails.
        seed: of everything that Turnkey draws at random; tools find it as ``state.environment["seed"]``.
        verbose: show on the terminal what scripts and tools print.
    """

    cache_dir: Path = field(default_factory=settings.cache_dir)
    lean_cache: bool = False
    process_isolation: bool = False
    timeout: float | None = None
    memory_limit: int | None = None
    resume: bool = False
    fail_fast: bool = False
    seed: int = 0
    verbose: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "cache_dir", settings.absolute_path(self.cache_dir))
        if self.process_isolation:
            if self.timeout is None:
                object.__setattr__(self, "timeout", settings.timeout_seconds())
            return
        for name, value in (("--timeout", self.timeout), ("--memory-limit", self.memory_limit)):
            if value is not None:
                raise UsageError(
                    f"{name} needs inputs in processes of their own",
                    evidence=f"{name} {value}",
                    remedy="add --process-isolation (in Python: process_isolation=True)",
                )
