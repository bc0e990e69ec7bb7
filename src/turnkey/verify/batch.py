"""Samples of other batch sizes, made from a captured one, for variants whose file says that the size is free."""

from __future__ import annotations

import numpy as np

from turnkey.model.samples import Sample
from turnkey.model.signature import Signature


def batch_symbol(signature: Signature) -> str | None:
    """The symbolic dimension that is the first axis of an input; None if the batch size is fixed."""
    for spec in signature.inputs:
        if spec.shape and isinstance(spec.shape[0], str):
            return spec.shape[0]
    return None


def batch_size(sample: Sample) -> int:
    """Items of one call: the first extent of the first input that has an axis; 1 if none has.

    Inputs that disagree (a table beside the batch) do not count: the first input of a call is what it is about.
    """
    return next((array.shape[0] for array in sample.values() if array.ndim and array.shape[0]), 1)


def other_sizes(size: int) -> tuple[int, ...]:
    """Two further batch sizes to try: one item, where the captured batch had more, and larger ones."""
    return (1, size + 1) if size > 1 else (2, 3)


def resized(sample: Sample, signature: Signature, size: int) -> Sample:
    """The sample with another batch size, on every axis that carries the batch's symbol.

    Items are repeated in turn; a repeated item is reversed along its last axis, so that no two items are equal and
    values keep their range (indices stay valid).
    """
    symbol = batch_symbol(signature)
    axes = {
        spec.name: [axis for axis, extent in enumerate(spec.shape) if extent == symbol] for spec in signature.inputs
    }
    return {name: _resized(array, axes.get(name, []), size) for name, array in sample.items()}


def _resized(array: np.ndarray, axes: list[int], size: int) -> np.ndarray:
    for axis in axes:
        extent = array.shape[axis]
        turns = np.arange(size)
        taken = np.take(array, turns % extent, axis=axis)
        if axis != array.ndim - 1:
            odd = (turns // extent) % 2 == 1
            mask = odd.reshape([-1 if other == axis else 1 for other in range(array.ndim)])
            taken = np.where(mask, np.flip(taken, -1), taken)
        array = np.ascontiguousarray(taken, dtype=array.dtype)
    return array
