"""What a benchmark would measure and what that would cost, before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from turnkey.host import fair_threads
from turnkey.measure import cost
from turnkey.tools.benchmark import settings_of
from turnkey.tools.thread_counts import thread_counts

_TYPICAL_MS = 5.0
_STARTS_S = {"torch": 4.0, "torch-compile": 8.0}
"""Seconds to start and load; others take about `cost.START_S`."""


def plan_text(statistics: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """One line: how many candidates, which effort, how many process starts, about how long.

    Args:
        statistics: of the build as it stands: its last latency stands for all candidates.
        arguments: of the tool.
    """
    counts = thread_counts(arguments.get("threads"))
    runtimes = list(arguments.get("runtimes") or filter(None, [arguments.get("runtime")])) or ["one runtime"]
    of_runtime = max(1, len(arguments.get("variants") or ()))
    candidates = [name for name in runtimes for _ in range(of_runtime if name not in _STARTS_S else 1)]
    candidates = [name for name in candidates for _ in range(max(1, len(counts)))]
    threads = " and ".join(map(str, counts)) if counts else str(fair_threads())
    count = len(candidates)
    said = f"{count} candidate{'s' if count > 1 else ''} ({', '.join(runtimes)}), {threads} threads"
    if arguments.get("load"):
        return f"{said}, load shape {arguments['load']}, one candidate after another"
    settings = settings_of(arguments, counts, seed=0)
    known = statistics.get("median_latency_ms")
    latency_ms = float(known) if isinstance(known, int | float) and known > 0 else _TYPICAL_MS
    start_s = sum(_STARTS_S.get(name, cost.START_S) for name in candidates) / count
    found = cost.estimate(settings, [latency_ms * 1e6] * count, start_s=start_s)
    basis = "as measured last" if known else "supposed"
    return f"{said}, effort {settings.effort}: {found} at {latency_ms:.3g} ms per call ({basis})"
