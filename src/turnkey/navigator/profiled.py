"""What profiling one contestant showed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from turnkey.errors import TurnkeyError, from_dict
from turnkey.measure.climb import Climb
from turnkey.measure.ladder import LadderRule, Stop
from turnkey.navigator.exceptions import UnstableMeasurementError
from turnkey.navigator.profile_plan import ProfilePlan
from turnkey.navigator.rung import rung_of
from turnkey.navigator.status import Rung


@dataclass(frozen=True, slots=True, kw_only=True)
class Profiled:
    """What profiling one contestant showed.

    Attributes:
        rungs: stable ones ascending; with ``on_unstable="flag"`` the others too.
        stop_reason: why it ended.
        error: of the batch size at which it ended, where that was no stop rule.
    """

    rungs: tuple[Rung, ...]
    stop_reason: str
    error: TurnkeyError | None = None


def profiled_of(climb: Climb, ask: ProfilePlan, *, batched: bool, relative_to: Path) -> Profiled:
    """What a climb showed: its rungs, and the documented error where one did not become stable."""
    rungs = [
        rung_of(climb.key, record, batch=found.batch if batched else None, relative_to=relative_to)
        for found, record in zip(climb.rungs, climb.records, strict=True)
        if found.stable or ask.on_unstable == "flag"
    ]
    if climb.stop is Stop.SATURATED:
        rungs = saturated(rungs, ask.rule(batched=batched))
    error: TurnkeyError | None = None
    if climb.error is not None:
        error = from_dict(dict(climb.error))
    elif climb.stop is Stop.UNSTABLE and ask.on_unstable != "flag":
        means = climb.records[-1].windows(climb.key).means_ms
        error = UnstableMeasurementError(
            f"{climb.key} did not become stable: {climb.reason}",
            evidence=f"window means {', '.join(f'{mean:.3g}' for mean in means)} ms",
            remedy="a quieter machine, a larger stability_percentage, or on_unstable='flag'",
            rungs=[rung.documented() for rung in rungs],
            means_ms=means,
        )
    return Profiled(rungs=tuple(rungs), stop_reason="" if climb.stop is None else str(climb.stop), error=error)


def saturated(rungs: Sequence[Rung], rule: LadderRule) -> list[Rung]:
    """Rungs of a climb that ended because throughput stopped growing; those after the last that gained are marked."""
    factor = 1 + (rule.throughput_cutoff_threshold or 0.0)
    best, gained = 0.0, 0
    for number, rung in enumerate(rungs):
        if rung.throughput >= best * factor:
            best, gained = rung.throughput, number
    return [replace(rung, saturated=number > gained) for number, rung in enumerate(rungs)]
