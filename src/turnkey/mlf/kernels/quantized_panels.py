"""C text of a product of bytes in panels: windows as rows of 16 bits, times weights in panels of 16 columns."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from turnkey.mlf import dtypes
from turnkey.mlf.kernels.claim import NodeGraph
from turnkey.mlf.kernels.quantized_numbers import Numbers
from turnkey.mlf.kernels.window import Window

PANEL = 16
"""Columns of a panel, as in ``c/bytes.h``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Where a product reads and writes: images, channel-last; of a matrix, its rows are the places."""

    images: int
    channels: int
    columns: int
    groups: int
    window: Window
    layout: str

    @property
    def results(self) -> int:
        """Places of one image of results."""
        return math.prod(self.window.result)


_WINDOWS = """\
/* Windows of the places from first on, as rows of 16 bits without zero point; 0 outside of the image. */
static void @windows(const {byte} *image, idx_t first, idx_t count, int32_t zero, int16_t *row) {{
  for (idx_t place = first; place < first + count; ++place) {{
    const idx_t top = place / {result_width} * {stride_y} - {before_y};
    const idx_t left = place % {result_width} * {stride_x} - {before_x};
    int16_t *to = row;
    row += {row};
    for (idx_t i = 0; i < {extent_y}; ++i) {{
      const idx_t y = top + i * {dilation_y};
      if (y < 0 || y >= {height}) {{
        memset(to, 0, {run} * sizeof *to);
        to += {run};
        continue;
      }}
      if ({contiguous} && left >= 0 && left + {extent_x} <= {width}) {{
        turnkey_widen_{byte}(image + (y * {width} + left) * {channels}, {run}, zero, to);
        to += {run};
        continue;
      }}
      for (idx_t j = 0; j < {extent_x}; ++j, to += {depth}) {{
        const idx_t x = left + j * {dilation_x};
        if (x < 0 || x >= {width})
          memset(to, 0, {depth} * sizeof *to);
        else
          turnkey_widen_{byte}(image + (y * {width} + x) * {channels}, {depth}, zero, to);
      }}
    }}
  }}
}}"""
_ROWS = """\
/* Rows of a matrix as rows of 16 bits without zero point. */
static void @windows(const {byte} *image, idx_t first, idx_t count, int32_t zero, int16_t *row) {{
  for (idx_t i = 0; i < count; ++i)
    turnkey_widen_{byte}(image + (first + i) * {channels}, {channels}, zero, row + i * {row});
}}"""
_STATEMENT = """\
const int32_t zero = {zero};
const turnkey_target target = {target};
int16_t *rows = (int16_t *)(void *)scratch;
for (idx_t n = 0; n < {images}; ++n)
  for (idx_t g = 0; g < {groups}; ++g) {{
    const {byte} *image = in0 + n * {image_size} + g * {depth};
    char *to = (char *)out0 + (ptrdiff_t)(n * {results} * {columns} + g * {group_columns}) * {size};
    const {weight} *weights = {weights} + g * {group_weights};
{tiles}
  }}"""
_TILES = """\
    for (idx_t first = {start}; first < {end}; first += {rows}) {{
      @windows(image, first, {rows}, zero, rows);
      turnkey_byte_panels({rows}, {group_columns}, {pairs}, rows, {row}, weights, {wide}, {bias}, {scale}, &target,
                          to + (ptrdiff_t)(first * {columns}) * {size}, {columns}, {size});
    }}"""


def _padded(array: np.ndarray | None, groups: int, width: int) -> np.ndarray | None:
    """One value per column, each group's columns up to whole panels."""
    if array is None:
        return None
    made = np.zeros((groups, width), array.dtype)
    made[:, : array.size // groups] = array.reshape(groups, -1)
    return made.reshape(-1)


def panelled_arrays(numbers: Numbers, groups: int) -> dict[str, np.ndarray | None]:
    """Weights as [group][panel][pair][16][2]; bias and scale for whole panels."""
    columns, depth = numbers.weights.shape[0] // groups, numbers.weights.shape[1]
    panels, pairs = -(-columns // PANEL), -(-depth // 2)
    whole = np.zeros((groups, panels * PANEL, 2 * pairs), np.int16 if numbers.is_wide else np.int8)
    whole[:, :columns, :depth] = numbers.weights.reshape(groups, columns, depth)
    packed = whole.reshape(groups, panels, PANEL, pairs, 2).transpose(0, 1, 3, 2, 4)
    return {
        "weights": np.ascontiguousarray(packed),
        "bias": _padded(numbers.bias, groups, panels * PANEL),
        "scale": _padded(numbers.scale, groups, panels * PANEL),
    }


def panel_text(
    numbers: Numbers, places: Places, names: Mapping[str, str], zero: str, rows: int, graph: NodeGraph
) -> tuple[str, str, int]:
    """Code, statement and bytes of scratch."""
    window, depth = places.window, places.channels // places.groups
    deep = math.prod(window.extent) * depth
    pairs, columns = -(-deep // 2), places.columns // places.groups
    padded = -(-columns // PANEL) * PANEL
    tiles = _heights(places.results, rows)
    fields = {
        "byte": numbers.source_type,
        "images": places.images,
        "groups": places.groups,
        "image_size": math.prod(window.image) * places.channels,
        **window.fields,
        "results": places.results,
        "contiguous": int(places.groups == 1 and window.dilation[1] == 1),
        "channels": places.channels,
        "depth": depth,
        "run": window.extent[1] * depth,
        "row": 2 * pairs,
        "pairs": pairs,
        "columns": places.columns,
        "group_columns": columns,
        "group_weights": padded * 2 * pairs,
        "size": dtypes.of_name(graph.tensors[numbers.output].dtype).bytes,
        "zero": zero,
        "target": numbers.c_target(),
        "weight": "int16_t" if numbers.is_wide else "int8_t",
        "weights": names["weights"],
        "wide": int(numbers.is_wide),
        "bias": _at_group(names["bias"], padded),
        "scale": _at_group(names["scale"], padded),
    }
    loops, start = [], 0
    for height, count in tiles:
        end = start + height * count
        loops.append(_TILES.format(start=start, end=end, rows=height, **fields))
        start = end
    code = (_ROWS if window.is_one_place and places.groups == 1 else _WINDOWS).format(**fields)
    scratch = 2 * 2 * pairs * max(height for height, _ in tiles)
    return code, _STATEMENT.format(tiles="\n".join(loops), **fields), scratch


def _at_group(name: str, padded: int) -> str:
    return name if name == "NULL" else f"{name} + g * {padded}"


def _heights(places: int, rows: int) -> list[tuple[int, int]]:
    """Heights of tiles that share the places evenly, at most two, with how many there are of each."""
    blocks = -(-places // rows)
    low, higher = divmod(places, blocks)
    return [pair for pair in ((low + 1, higher), (low, blocks - higher)) if pair[1]]
