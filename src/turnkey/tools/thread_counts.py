"""The values of ``--threads``: one count for all, several to compare, or ``auto``."""

from __future__ import annotations

import math

from turnkey.pipeline.quantity import positive_count

AUTO = "auto"


def parse_threads(text: str) -> int | str:
    """``4``, ``1,2,4`` (kept as text, in ascending order without duplicates) or ``auto``."""
    if text == AUTO:
        return AUTO
    counts = sorted({positive_count(part) for part in text.split(",")})
    return counts[0] if len(counts) == 1 else ",".join(map(str, counts))


def thread_counts(value: int | str | None) -> tuple[int, ...]:
    """The counts that are asked for, ascending; empty where none is, and the fair one is taken.

    ``auto`` is half the fair count, the fair count, and every processor that affinity and quota allow.

    Raises:
        ValueError: a text that is neither.
    """
    if value is None:
        return ()
    parsed = value if isinstance(value, int) else parse_threads(value)
    if parsed != AUTO:
        return tuple(int(part) for part in str(parsed).split(","))
    from turnkey import host  # reads files of the kernel: only when it is asked for

    fair, allowed = host.fair_threads(), len(host.affinity_cpus())
    quota = host.cgroup_cpu_quota()
    if quota is not None:
        allowed = max(1, min(allowed, math.floor(quota)))
    return tuple(sorted({max(1, fair // 2), fair, allowed}))
