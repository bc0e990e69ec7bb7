"""Windows that slide over an image: what convolutions and poolings have in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from turnkey.mlf.node import attribute

if TYPE_CHECKING:
    import onnx


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A window over images of one height and width; signals are images of height 1.

    Attributes:
        image, result: (height, width) before and after.
        extent, stride, dilation: of the window, (vertical, horizontal).
        before, after: places added around the image, (vertical, horizontal).
    """

    image: tuple[int, int]
    result: tuple[int, int]
    extent: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    after: tuple[int, int]

    @property
    def fields(self) -> dict[str, int]:
        """Sizes by the names that C texts with a loop over each axis have for them."""
        pairs = {
            "{}": (("height", "width"), self.image),
            "result_{}": (("height", "width"), self.result),
            "extent_{}": ("yx", self.extent),
            "stride_{}": ("yx", self.stride),
            "dilation_{}": ("yx", self.dilation),
            "before_{}": ("yx", self.before),
        }
        return {
            name.format(axis): size
            for name, (axes, sizes) in pairs.items()
            for axis, size in zip(axes, sizes, strict=True)
        }

    @property
    def is_padded(self) -> bool:
        return any((*self.before, *self.after))

    @property
    def is_one_place(self) -> bool:
        """Whether each result is of the image's place of the same number."""
        return self.extent == (1, 1) and self.stride == (1, 1) and not self.is_padded

    @property
    def always_holds_places(self) -> bool:
        """Whether every window has a row and a column inside of the image."""
        for axis in range(2):
            step, image = self.dilation[axis], self.image[axis]
            for place in range(self.result[axis]):
                start = place * self.stride[axis] - self.before[axis]
                inside = -(-max(0, -start) // step)  # the first step of the window that is not in front of the image
                if inside >= self.extent[axis] or start + inside * step >= image:
                    return False
        return True

    @property
    def row_width(self) -> int:
        """Places in a row of the padded image that a window reads."""
        return (self.result[1] - 1) * self.stride[1] + (self.extent[1] - 1) * self.dilation[1] + 1

    def rows_read(self, rows: int) -> int:
        """Rows of the padded image that so many rows of results need."""
        return (rows - 1) * self.stride[0] + (self.extent[0] - 1) * self.dilation[0] + 1


def window_of(
    node: onnx.NodeProto, *, image: Sequence[int], result: Sequence[int], extent: Sequence[int], padded: Sequence[int]
) -> Window | None:
    """The window of a Conv or pooling node; None with more than two dimensions or negative padding.

    Args:
        image, result, extent: the extents behind the channels; extent: of the kernel.
        padded: what a Pad in front adds, starts then ends; empty for none.
    """
    rank = len(image)
    if rank not in (1, 2) or len(extent) != rank:
        return None
    strides = attribute(node, "strides", [1] * rank)
    dilations = attribute(node, "dilations", [1] * rank)
    given = attribute(node, "pads", [0] * (2 * rank))
    extra = list(padded) or [0] * (2 * rank)
    before, after = [], []
    for axis in range(rank):
        reach = (extent[axis] - 1) * dilations[axis] + 1
        wide = image[axis] + extra[axis] + extra[rank + axis]
        pads = _automatic(node, wide, result[axis], strides[axis], reach) or (given[axis], given[rank + axis])
        before.append(pads[0] + extra[axis])
        after.append(pads[1] + extra[rank + axis])
    if min((*before, *after)) < 0:
        return None

    def pair(values: Sequence[int], filler: int) -> tuple[int, int]:
        return (filler, values[0]) if rank == 1 else (values[0], values[1])

    return Window(
        image=pair(image, 1),
        result=pair(result, 1),
        extent=pair(extent, 1),
        stride=pair(strides, 1),
        dilation=pair(dilations, 1),
        before=pair(before, 0),
        after=pair(after, 0),
    )


def _automatic(node: onnx.NodeProto, image: int, result: int, stride: int, reach: int) -> tuple[int, int] | None:
    """Padding of one axis as ``auto_pad`` asks for; None where it is given."""
    way = attribute(node, "auto_pad", b"NOTSET")
    if way == b"NOTSET":
        return None
    total = 0 if way == b"VALID" else max(0, (result - 1) * stride + reach - image)
    less = total // 2
    return (total - less, less) if way == b"SAME_LOWER" else (less, total - less)
