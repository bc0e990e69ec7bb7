"""The largest batch for which engines are built: what the source model takes, one call per batch size."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace

from turnkey.errors import ModelError
from turnkey.navigator import conversion
from turnkey.navigator.format import DeviceKind
from turnkey.navigator.journal import Journal
from turnkey.navigator.model_config import ModelConfig
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.rung_targets import fits
from turnkey.navigator.status import FIND_MAX_BATCH_SIZE, CommandRun, CommandStatus

_HALVED_ABOVE = 512
"""A batch so large leaves a builder too little memory for its tactics."""
_HALVINGS = 2


def max_batch_for(config: ModelConfig, prepared: Prepared, journal: Journal, *, device: DeviceKind) -> int | None:
    """The largest batch of engines, looked for once and before the first of them; None for all other models."""
    is_engine = conversion.needs_max_batch(config) and not conversion.obstacle_of(config)
    if not is_engine or device is not DeviceKind.CUDA or prepared.metadata.batch_dim is None:
        return None
    if not prepared.source.can_run:
        return None
    known = journal.status.own.get("max_batch")
    if known is None:
        started = time.perf_counter()
        known = max_batch_of(prepared)
        run = CommandRun(status=CommandStatus.OK, seconds=round(time.perf_counter() - started, 3))
        status = journal.status
        journal.keep(
            replace(
                status,
                commands={**status.commands, FIND_MAX_BATCH_SIZE: run},
                own={**status.own, "max_batch": known},
            )
        )
        journal.progress.step(f"{FIND_MAX_BATCH_SIZE}: engines are built for batches up to {known}")
    return int(known)


def find_max_batch(takes: Callable[[int], bool]) -> int:
    """The last of 1, 2, 4, … before one fails, halved once where it is above 512; at least 1."""
    batch = 1
    while takes(2 * batch):
        batch *= 2
    return batch // 2 if batch > _HALVED_ABOVE else batch


def max_batch_of(prepared: Prepared) -> int:
    """What a source model takes here, by calling it once at each batch size that memory allows."""

    def takes(batch: int) -> bool:
        if not fits(prepared, batch):
            return False
        try:
            prepared.at_batch(batch)
        except ModelError:
            return False
        return True

    return find_max_batch(takes)


def smaller_batches(batch: int, *, least: int) -> Iterator[int]:
    """A batch, then at most two halvings of it, while they stay above what the dataloader has."""
    yield batch
    for _ in range(_HALVINGS):
        batch //= 2
        if batch <= least:
            return
        yield batch
