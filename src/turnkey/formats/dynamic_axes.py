"""Which axes of an exported file may vary, and samples of other extents to prove that they do.

An axis is varied for one of three reasons: it is the batch axis (axis 0 of all inputs that share the extent of the
first one's), the script itself called the model with several extents, or the user named it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from turnkey.errors import UsageError
from turnkey.model.samples import Sample

BATCH = "batch"


@dataclass(frozen=True, slots=True)
class DynamicAxes:
    """Symbol of each axis that may vary: ``{"input_ids": {0: "batch", 1: "input_ids_1"}}``; empty means static.

    Axes with one symbol have one extent.
    """

    symbols: Mapping[str, Mapping[int, str]]

    def __bool__(self) -> bool:
        return any(self.symbols.values())

    def merged(self, other: DynamicAxes) -> DynamicAxes:
        """Both; where both name an axis, this one's symbol stays."""
        names = dict.fromkeys((*self.symbols, *other.symbols))
        return DynamicAxes({n: {**other.symbols.get(n, {}), **self.symbols.get(n, {})} for n in names})

    def extents(self, sample: Sample) -> dict[str, int]:
        """The extent of each symbol in a sample."""
        return {
            symbol: sample[name].shape[axis] for name, axes in self.symbols.items() for axis, symbol in axes.items()
        }

    def fits(self, sample: Sample, other: Sample) -> bool:
        """Whether two samples have the same names, dtypes and shapes but for these axes."""
        if sample.keys() != other.keys():
            return False
        for name, array in sample.items():
            varied = self.symbols.get(name, {})
            if array.dtype != other[name].dtype or array.ndim != other[name].ndim:
                return False
            pairs = enumerate(zip(array.shape, other[name].shape, strict=True))
            if any(mine != theirs and axis not in varied for axis, (mine, theirs) in pairs):
                return False
        return True

    def resized(self, sample: Sample, extents: Mapping[str, int]) -> Sample:
        """The sample with other extents of some symbols: rows are repeated from the start, or cut off."""
        resized = {}
        for name, array in sample.items():
            for axis, symbol in self.symbols.get(name, {}).items():
                if symbol in extents:
                    array = np.take(array, np.arange(extents[symbol]) % max(1, array.shape[axis]), axis=axis)
            resized[name] = array
        return resized

    def sentence(self) -> str:
        """For notes: ``batch = x:0, mask:0``."""
        places: dict[str, list[str]] = {}
        for name, axes in self.symbols.items():
            for axis, symbol in axes.items():
                places.setdefault(symbol, []).append(f"{name}:{axis}")
        return "; ".join(f"{symbol} = {', '.join(where)}" for symbol, where in places.items())


STATIC = DynamicAxes({})


def batch_axes(sample: Sample) -> DynamicAxes:
    """Axis 0 of all inputs whose extent there is that of the first input that has axes; never of extent 0."""
    ranked = {name: array for name, array in sample.items() if array.ndim > 0}
    first = next(iter(ranked.values()), None)
    if first is None or first.shape[0] == 0:
        return STATIC
    return DynamicAxes({name: {0: BATCH} for name, array in ranked.items() if array.shape[0] == first.shape[0]})


def observed_axes(sample: Sample, others: Iterable[Sample]) -> DynamicAxes:
    """Axes whose extents differ between calls of the same inputs that were really made."""
    varied: set[tuple[str, int]] = set()
    for other in others:
        if other.keys() != sample.keys() or any(other[n].ndim != a.ndim for n, a in sample.items()):
            continue
        varied |= {
            (name, axis)
            for name, array in sample.items()
            for axis, extent in enumerate(array.shape)
            if other[name].shape[axis] != extent
        }
    return _named(sample, sorted(varied, key=lambda place: (list(sample).index(place[0]), place[1])))


def requested_axes(sample: Sample, requests: Sequence[tuple[str, int]]) -> DynamicAxes:
    """The axes that the user named.

    Raises:
        UsageError: an unknown input or an axis that it does not have.
    """
    places = []
    for name, axis in requests:
        if name not in sample:
            raise UsageError(
                f"--dynamic names the input {name!r}, which the model does not have",
                evidence=f"its inputs: {', '.join(f'{n} {list(a.shape)}' for n, a in sample.items())}",
                remedy=f"--dynamic {next(iter(sample), 'NAME')}:0",
            )
        rank = sample[name].ndim
        if not -rank <= axis < rank:
            raise UsageError(
                f"--dynamic names axis {axis} of {name!r}, which has {rank} axes",
                evidence=f"{name} has shape {list(sample[name].shape)}",
                remedy=f"--dynamic {name}:0",
            )
        places.append((name, axis % rank))
    batch = batch_axes(sample).symbols
    of_batch = {name: {0: BATCH} for name, axis in places if axis == 0 and name in batch}
    others = [(name, axis) for name, axis in places if axis != 0 or name not in batch]
    return _named(sample, others).merged(DynamicAxes(of_batch))


def _named(sample: Sample, places: Iterable[tuple[str, int]]) -> DynamicAxes:
    """Axes of one extent share a symbol, named after the first of them: lengths of ids and mask go together."""
    symbols: dict[str, dict[int, str]] = {}
    by_extent: dict[int, str] = {}
    for name, axis in places:
        symbol = by_extent.setdefault(sample[name].shape[axis], f"{name}_{axis}")
        symbols.setdefault(name, {})[axis] = symbol
    return DynamicAxes(symbols)
