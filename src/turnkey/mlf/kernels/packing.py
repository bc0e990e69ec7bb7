"""Constants rearranged for kernels: at export with numpy, and as a C kernel for whoever runs the executor's graph.

A packed array is described by its axes, outermost first. Each walks along some axis of the source by a stride; places
that fall outside of the source are zero, so that padding to whole blocks needs no case of its own. For a matrix (K, N)
in column blocks of 16, padded: ``(Axis(ceil(N / 16), 1, 16), Axis(K, 0, 1), Axis(16, 1, 1))``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from turnkey.mlf import dtypes
from turnkey.mlf.program import Kernel
from turnkey.mlf.tensor import Tensor, dense_strides

if TYPE_CHECKING:
    import numpy as np


class Axis(NamedTuple):
    """One axis of a packed array: ``extent`` steps of ``stride`` along the source's axis ``of``."""

    extent: int
    of: int
    stride: int


def pack(source: np.ndarray, axes: Sequence[Axis]) -> np.ndarray:
    """The packed array."""
    import numpy as np

    rank = len(axes)
    places: list[np.ndarray] = [np.zeros((1,) * rank, np.int64) for _ in source.shape]
    for index, axis in enumerate(axes):
        steps = np.arange(axis.extent, dtype=np.int64) * axis.stride
        places[axis.of] = places[axis.of] + steps.reshape([-1 if i == index else 1 for i in range(rank)])
    inside = np.ones((1,) * rank, bool)
    for place, extent in zip(places, source.shape, strict=True):
        inside = inside & (place < extent)
    clipped = tuple(np.minimum(place, extent - 1) for place, extent in zip(places, source.shape, strict=True))
    packed = np.where(inside, source[clipped], source.dtype.type(0))
    return np.ascontiguousarray(np.broadcast_to(packed, [axis.extent for axis in axes]))


def packing_kernel(source: Tensor, axes: Sequence[Axis]) -> Kernel:
    """A kernel that packs at run time."""
    lines, indent = [f"{dtypes.of_name(source.dtype).c_type} *to = out0;"], ""
    for index, axis in enumerate(axes):
        lines.append(f"{indent}for (idx_t i{index} = 0; i{index} < {axis.extent}; ++i{index})")
        indent += "  "
    lines[-1] += " {"
    strides = dense_strides(source.shape)
    places, guards = [], []
    for position, extent in enumerate(source.shape):
        walks = [(index, axis) for index, axis in enumerate(axes) if axis.of == position]
        place = " + ".join(f"i{index} * {axis.stride}" for index, axis in walks) or "0"
        if sum((axis.extent - 1) * axis.stride for _, axis in walks) >= extent:
            guards.append(f"{place} < {extent}")
        places.append(f"({place}) * {strides[position]}")
    value = f"in0[{' + '.join(places) or '0'}]"
    guard = " && ".join(guards)
    lines.append(f"{indent}*to++ = {guard} ? {value} : 0;" if guard else f"{indent}*to++ = {value};")
    lines.append(f"{indent[:-2]}}}")
    c_type = dtypes.of_name(source.dtype).c_type
    return Kernel(
        operators=("pack",), inputs=(c_type,), outputs=(c_type,), statement="\n".join(lines), kind="pack", macs=0
    )
