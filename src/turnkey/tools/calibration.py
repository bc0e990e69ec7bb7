"""Which inputs calibrate a quantised variant, and which tell what it loses: not the same ones where there are two."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from turnkey.errors import InputError

if TYPE_CHECKING:
    from turnkey.model.samples import Sample
    from turnkey.model.source import SourceModel

_SIZE_LIMIT_BYTES = 4 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """A split of inputs.

    Attributes:
        inputs: to calibrate with.
        judged: positions of the captured samples that tell the loss.
        note: what a reader must know of the split.
    """

    inputs: tuple[Sample, ...]
    judged: tuple[int, ...]
    note: str


def split(captured: Sequence[Sample], *, given: Sequence[Sample] = ()) -> Calibration:
    """The user's own calibration inputs, else the first half of the captured ones; the others are judged."""
    positions = tuple(range(len(captured)))
    if given:
        note = f"calibrated on {len(given)} given inputs, judged on {len(captured)} captured ones"
        return Calibration(inputs=tuple(given), judged=positions, note=note)
    if len(captured) < 2:
        note = "calibrated and judged on one captured input: call the model with more, or give --calibration FILE.npz"
        return Calibration(inputs=tuple(captured), judged=positions, note=note)
    half = (len(captured) + 1) // 2
    note = f"calibrated on {half} captured inputs, judged on {len(captured) - half} others"
    return Calibration(inputs=tuple(captured[:half]), judged=positions[half:], note=note)


def calibrating(source: SourceModel, calibration: Calibration) -> SourceModel:
    """The source with the calibration inputs as its samples: converters calibrate with what they are given."""
    samples = replace(source.samples, inputs=calibration.inputs, outputs=(None,) * len(calibration.inputs))
    return replace(source, samples=samples)


def read_calibration(path: Path, captured: Sample) -> tuple[Sample, ...]:
    """Calibration inputs from an ``.npz`` file: one array per input, with one more axis in front for the samples.

    Raises:
        InputError: no such file, not an ``.npz`` of plain arrays, or arrays that do not fit the model's inputs.
    """
    import numpy as np

    remedy = f"numpy.savez(path, {', '.join(f'{name}=...' for name in captured)}), each with one axis more in front"
    try:
        if path.stat().st_size > _SIZE_LIMIT_BYTES:
            raise InputError(f"{path.name} is larger than {_SIZE_LIMIT_BYTES >> 30} GiB", remedy=remedy)
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in captured if name in stored.files}
    except (OSError, ValueError, zipfile.BadZipFile, AttributeError) as error:
        raise InputError(
            f"{path.name} holds no calibration inputs", evidence=f"{path}: {error}", remedy=remedy
        ) from error
    missing = [name for name in captured if name not in arrays]
    ranks = {name: array.ndim - 1 for name, array in arrays.items()}
    wrong = [name for name in arrays if ranks[name] != captured[name].ndim]
    counts = {array.shape[0] for array in arrays.values() if array.ndim}
    if missing or wrong or len(counts) != 1 or 0 in counts:
        shapes = ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
        needed = ", ".join(f"{name} [n, {', '.join(map(str, a.shape))}]" for name, a in captured.items())
        raise InputError(
            f"{path.name} does not fit the model's inputs",
            evidence=f"it holds {shapes or 'none of them'}; wanted: {needed}",
            remedy=remedy,
        )
    return tuple(
        {name: arrays[name][index].astype(captured[name].dtype) for name in captured} for index in range(counts.pop())
    )
