"""The largest batch for which engines are built: what the source model takes, one call per batch size."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from turnkey.errors import ModelError
from turnkey.navigator.preparation import Prepared
from turnkey.navigator.rung_targets import fits

_HALVED_ABOVE = 512
"""A batch so large leaves a builder too little memory for its tactics."""
_HALVINGS = 2


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
