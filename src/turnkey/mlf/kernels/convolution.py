"""Convolution of float images and signals in channel-last layout, with packed weights and a fused epilogue.

An image that needs padding is copied, some rows at a time, into scratch with zeros around it; the copy also turns an
image in ONNX's layout into channel-last. What needs no padding is read where it lies. The C text is
``c/convolution.h``.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from turnkey.mlf.kernels.claim import Claim, Made, NodeGraph, Packed, Stored
from turnkey.mlf.kernels.epilogue import Epilogue
from turnkey.mlf.kernels.packing import Axis
from turnkey.mlf.kernels.vectors import c_text, vectors
from turnkey.mlf.kernels.window import Window
from turnkey.mlf.kernels.windowed import Windowed, windowed_convolution
from turnkey.mlf.node import attribute
from turnkey.mlf.program import Kernel, Tile
from turnkey.mlf.tensor import CHANNEL_LAST, ROW_MAJOR

if TYPE_CHECKING:
    import onnx

BLOCK = 16
"""Output channels of a tile, as in ``c/convolution.h``."""
PLACES = 8
"""Most places of a tile, as in ``c/convolution.h``."""
SMALL_KIB, NEAR_KIB, FAR_KIB = 8, 24, 96
"""Scratch for padded rows: so little that it stays in the nearest cache; or more, where weights are many and would be
read again for every band of rows."""
_FEW_WEIGHTS_BYTES, _VERY_FEW_WEIGHTS_BYTES = 128 << 10, 16 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Convolution:
    """One convolution as its kernel sees it.

    Attributes:
        channels, outputs: of one group.
        rows: of the result in one band; places: most of one tile.
        layout: of the input.
    """

    batch: int
    groups: int
    channels: int
    outputs: int
    window: Window
    rows: int = 1
    places: int = PLACES
    layout: str = CHANNEL_LAST

    @property
    def is_copied(self) -> bool:
        """Whether rows go through scratch."""
        return self.window.is_padded or self.layout == ROW_MAJOR

    @property
    def row_width(self) -> int:
        """Places in a row of what the tiles read."""
        return self.window.row_width if self.is_copied else self.window.image[1]

    @property
    def scratch_bytes(self) -> int:
        pixel = self.groups * self.channels
        return 4 * self.window.rows_read(self.rows) * self.row_width * pixel if self.is_copied else 0

    @property
    def macs(self) -> int:
        places = math.prod(self.window.result) * math.prod(self.window.extent)
        return self.batch * places * self.groups * self.channels * self.outputs

    @property
    def weights_bytes(self) -> int:
        return 4 * self.groups * self.channels * self.outputs * math.prod(self.window.extent)

    @property
    def result_bytes(self) -> int:
        """Of one image."""
        return 4 * math.prod(self.window.result) * self.groups * self.outputs

    def tiles(self) -> tuple[Tile, ...]:
        """Scratch for a band and most places of a tile to choose from, the usual ones first."""
        usual = NEAR_KIB if self.weights_bytes <= _FEW_WEIGHTS_BYTES else FAR_KIB
        others = tuple(kib for kib in (NEAR_KIB, FAR_KIB, SMALL_KIB) if kib != usual)
        choices = [(usual, PLACES), (usual, PLACES // 2)]
        choices += [(kib, PLACES) for kib in others if self.banded(kib).rows != self.banded(usual).rows]
        return tuple((("band_kib", kib), ("places", places)) for kib, places in choices)

    def banded(self, kib: int) -> Convolution:
        """With as many rows in a band as its scratch may hold; of equal height, where that costs few bands more.

        Few weights are cheap to read again: scratch can then be small beside the result, and rarely adds to the peak.
        """
        height = self.window.result[0]
        if not self.is_copied:
            return replace(self, rows=height)
        room = kib << 10
        if self.weights_bytes <= _FEW_WEIGHTS_BYTES:
            room = min(room, self.result_bytes // (4 if self.weights_bytes <= _VERY_FEW_WEIGHTS_BYTES else 2))
        fitting = [r for r in range(1, height + 1) if replace(self, rows=r).scratch_bytes <= room] or [1]
        divisor = max(r for r in fitting if height % r == 0)
        nearly = -(-height // -(-height // fitting[-1]))
        return replace(self, rows=divisor if 2 * divisor >= nearly else nearly)

    def fields(self, epilogue: Epilogue) -> str:
        """The initializer of ``turnkey_convolution``."""
        window = self.window
        numbers = (
            *(self.batch, self.groups, self.channels, self.outputs),
            *(*window.image, *window.result),
            *(*window.extent, *window.stride, *window.dilation, *window.before),
            *(self.rows, self.row_width, int(self.is_copied), int(self.layout == ROW_MAJOR)),
            self.places,
        )
        return f"{{{', '.join(map(str, numbers))}, {epilogue.activation.c_arguments()}}}"


def convolution(node: onnx.NodeProto, graph: NodeGraph) -> Claim | None:
    """Conv of float in one or two dimensions with constant weights, any groups; a Pad in front, an epilogue behind."""
    found = windowed_convolution(node, graph)
    return None if found is None else found.claim(partial(_made, found, graph))


def _made(found: Windowed, graph: NodeGraph, layouts: Mapping[str, str]) -> Made:
    node, window, epilogue = found.node, found.window, found.epilogue
    tensor, weight = graph.tensors[found.source], graph.tensors[node.input[1]]
    groups = int(attribute(node, "group", 1))
    # Rows that are copied anyway, or windows of more than one place, turn the layout on their way.
    turns = layouts[found.source] == ROW_MAJOR and tensor.shape[1] > 1 and math.prod(window.extent) > 1
    shape = Convolution(
        batch=tensor.shape[0],
        groups=groups,
        channels=weight.shape[1],
        outputs=weight.shape[0] // groups,
        window=window,
        layout=ROW_MAJOR if turns else CHANNEL_LAST,
    )
    tiles = shape.tiles()
    tile = graph.tile(node, tiles)
    shape = replace(shape.banded(dict(tile)["band_kib"]), places=dict(tile)["places"])
    blocks = (Axis(groups, 0, shape.outputs), Axis(-(-shape.outputs // BLOCK), 0, BLOCK))
    reach = [Axis(extent, 2 + axis, 1) for axis, extent in enumerate(weight.shape[2:])]
    image = Stored(name=found.source, layout=shape.layout)
    weights = Packed(name=node.input[1], axes=(*blocks, *reach, Axis(shape.channels, 1, 1), Axis(BLOCK, 0, 1)))
    inputs, bias, side = found.with_added((image, weights))
    scratch = "(float *)(void *)scratch" if shape.is_copied else "NULL"
    kernel = Kernel(
        operators=("conv", *epilogue.operators),
        inputs=("float",) * len(inputs),
        outputs=("float",),
        helpers=(vectors(graph.vector_bytes), c_text("convolution")),
        statement=(
            f"const turnkey_convolution c = {shape.fields(epilogue)};\n"
            f"turnkey_convolve(&c, in0, in1, {bias}, {side}, out0, {scratch});"
        ),
        includes=("string.h",),
        scratch_bytes=shape.scratch_bytes,
        kind="convolution",
        overwrites=epilogue.overwrites(len(inputs), found.source),
        macs=shape.macs,
        tile=tile,
        tiles=tiles,
    )
    return Made(kernel=kernel, inputs=inputs, outputs=(Stored(name=epilogue.output, layout=CHANNEL_LAST),))
