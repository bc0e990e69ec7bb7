"""A worker's reply: decoded, and believed only where it can be true. Pure.

Whatever a runtime does to its process: what comes out of the pipe is what the engine asked for, or a lost worker.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, TypeVar

from turnkey.errors import ModelError, from_dict
from turnkey.measure.crew import LoadReport, SliceReport, WorkerLost
from turnkey.measure.warmup import WarmUp

T = TypeVar("T")


def content(line: bytes) -> Any:
    """What a line says, as plain JSON values.

    Raises:
        WorkerLost: ``raised`` with the error that it tells, ``garbled`` where it is no reply.
    """
    try:
        reply = json.loads(line, parse_constant=_refuse_constant)
        if "ok" in reply:
            return reply["ok"]
        raised, ours = from_dict(reply["error"]), bool(reply.get("ours"))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise garbled(f"{error}; reply: {line[:200]!r}") from error
    raise WorkerLost("raised", raised, final=ours)


def garbled(evidence: str) -> WorkerLost:
    """The worker speaks nonsense."""
    return WorkerLost("garbled", ModelError("the worker's answer makes no sense", evidence=evidence))


def load_report(told: Any) -> LoadReport:
    """The answer to ``load``. Raises WorkerLost where it is none, as the two below do."""
    return _typed(LoadReport, told, lists=("notes",))


def slice_report(told: Any, *, entries: int, elapsed_ns: int) -> SliceReport:
    """The answer to ``slice``: so many entries, within the time that really passed."""
    report = _typed(SliceReport, told, lists=("ns",))
    if not isinstance(report.device, dict):
        raise garbled(f"durations on the device: {report.device!r}")
    for part, times in report.device.items():
        if len(times) != entries or not all(type(value) is int and value >= 0 for value in times):
            raise garbled(f"{len(times)} durations of {part} on the device for {entries} calls")
    _require_times((report.settle, *report.ns), count=entries + 1, elapsed_ns=elapsed_ns)
    return report


def warm_up(told: Any, *, elapsed_ns: int) -> WarmUp:
    """The answer to ``calibrate`` and ``warm``: one call or more, within the time that really passed."""
    done = _typed(WarmUp, told, lists=("ns",))
    _require_times(done.ns, count=max(1, len(done.ns)), elapsed_ns=elapsed_ns)
    return done


def _typed(kind: type[T], told: Any, *, lists: tuple[str, ...]) -> T:
    try:
        return kind(**{**told, **{name: tuple(told[name]) for name in lists}})
    except (TypeError, KeyError) as error:
        raise garbled(f"{kind.__name__}: {error}") from error


def _require_times(times: Sequence[int], *, count: int, elapsed_ns: int) -> None:
    if len(times) != count or not all(type(value) is int and value > 0 for value in times):
        raise garbled(f"{len(times)} durations where {count} positive whole ones were expected")
    if sum(times) > elapsed_ns:
        raise garbled(f"durations of {sum(times)} ns within {elapsed_ns} ns")


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no number of a reply")
