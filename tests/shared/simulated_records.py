"""Records of the unchanged engine on a simulated host: the truth is known, and no process is started."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from turnkey.measure import Record, Settings, TargetDescription, run_experiment
from turnkey.measure.simulated import QUIET, Noise, SimulatedHost, SimulatedWorkers


def simulated_record(
    times_ms: Mapping[str, float],
    path: Path | None = None,
    *,
    reference: str | None = None,
    seed: int = 0,
    noise: Noise = QUIET,
    facts: Mapping[str, Mapping[str, Any]] | None = None,
    targets: Sequence[TargetDescription] | None = None,
    **settings: Any,
) -> Record:
    """One experiment over keys whose calls take so long; further arguments are fields of `Settings`.

    Args:
        facts: of single keys.
        targets: how the keys are described, in place of ``facts``.
    """
    workers = SimulatedWorkers(SimulatedHost(noise, seed=seed), {key: 1e6 * ms for key, ms in times_ms.items()})
    targets = targets or [
        TargetDescription(key=key, factory="none", facts=(facts or {}).get(key, {})) for key in times_ms
    ]
    return run_experiment(
        targets, reference=reference, settings=Settings(seed=seed, **settings), path=path, workers=workers
    )
