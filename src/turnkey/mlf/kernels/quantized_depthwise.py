"""Convolutions of bytes in which each channel has a window of its own: lane by lane along the channels."""

from __future__ import annotations

import math
from typing import NamedTuple

from turnkey.mlf.kernels.window import Window


class Text(NamedTuple):
    """C text of a kernel: its own functions, and its statement."""

    code: str
    statement: str


_CODE = """\
/* TURNKEY_SUM_LANES channels of one place. Weights are 16 bits in lanes of 32, so that a multiply-add is a product. */
TURNKEY_INLINE void @channels(const {byte} *image, idx_t top, idx_t left, idx_t c, int32_t zero, const int inside,
                              const int32_t *weights, const int32_t *bias, const float *scale,
                              const turnkey_target *target, char *to) {{
  turnkey_sums sum = turnkey_sums_all(0);
  for (idx_t i = 0; i < {extent_y}; ++i)
    for (idx_t j = 0; j < {extent_x}; ++j) {{
      const idx_t y = top + i * {dilation_y}, x = left + j * {dilation_x};
      if (!inside && (y < 0 || y >= {height} || x < 0 || x >= {width})) continue;
      const turnkey_sums value = turnkey_values_{byte}(image + (y * {width} + x) * {channels} + c) - zero;
      sum = turnkey_multiply_add(sum, value, turnkey_load_sums(weights + (i * {extent_x} + j) * {channels} + c));
    }}
  turnkey_put(sum, bias ? bias + c : bias, scale ? scale + c : scale, target, to + c * {size}, TURNKEY_SUM_LANES);
}}

/* All channels of one place. The last ones overlap where the lanes do not divide them; fewer channels go alone. */
TURNKEY_INLINE void @place(const {byte} *image, idx_t top, idx_t left, int32_t zero, const int inside,
                           const int32_t *weights, const int32_t *bias, const float *scale,
                           const turnkey_target *target, char *to) {{
#if {channels} >= TURNKEY_SUM_LANES
  for (idx_t c = 0; c + TURNKEY_SUM_LANES <= {channels}; c += TURNKEY_SUM_LANES)
    @channels(image, top, left, c, zero, inside, weights, bias, scale, target, to);
#if {channels} % TURNKEY_SUM_LANES
  @channels(image, top, left, {channels} - TURNKEY_SUM_LANES, zero, inside, weights, bias, scale, target, to);
#endif
#else
  for (idx_t c = 0; c < {channels}; ++c) {{
    int32_t single[TURNKEY_SUM_LANES] = {{0}}, more[TURNKEY_SUM_LANES] = {{0}};
    float factor[TURNKEY_SUM_LANES] = {{0}};
    (void)inside;
    for (idx_t i = 0; i < {extent_y}; ++i)
      for (idx_t j = 0; j < {extent_x}; ++j) {{
        const idx_t y = top + i * {dilation_y}, x = left + j * {dilation_x};
        if (y < 0 || y >= {height} || x < 0 || x >= {width}) continue;
        single[0] += (image[(y * {width} + x) * {channels} + c] - zero) *
                     (int16_t)weights[(i * {extent_x} + j) * {channels} + c];
      }}
    if (bias) more[0] = bias[c];
    if (scale) factor[0] = scale[c];
    turnkey_put(turnkey_load_sums(single), more, factor, target, to + c * {size}, 1);
  }}
#endif
}}"""
_STATEMENT = """\
const int32_t zero = {zero};
const turnkey_target target = {target};
for (idx_t n = 0; n < {images}; ++n) {{
  const {byte} *image = in0 + n * {image_size};
  char *to = (char *)out0 + (ptrdiff_t)(n * {results} * {channels}) * {size};
  for (idx_t v = 0; v < {result_height}; ++v)
    for (idx_t u = 0; u < {result_width}; ++u, to += {channels} * {size}) {{
      const idx_t top = v * {stride_y} - {before_y}, left = u * {stride_x} - {before_x};
      if (top >= 0 && left >= 0 && top + {reach_y} <= {height} && left + {reach_x} <= {width})
        @place(image, top, left, zero, 1, {weights}, {bias}, {scale}, &target, to);
      else
        @place(image, top, left, zero, 0, {weights}, {bias}, {scale}, &target, to);
    }}
}}"""


def depthwise_kernel(
    window: Window,
    *,
    images: int,
    channels: int,
    byte: str,
    zero: str,
    target: str,
    size: int,
    weights: str,
    bias: str,
    scale: str,
) -> Text:
    """Text for images that lie channel-last.

    Args:
        byte: C type of the source; zero: its zero point, as C says it.
        target: initialiser of a ``turnkey_target``; size: of one result, bytes.
        weights, bias, scale: C expressions; weights are [place of the window][channel].
    """
    fields = {
        "images": images,
        "channels": channels,
        "byte": byte,
        "zero": zero,
        "target": target,
        "size": size,
        "weights": weights,
        "bias": bias,
        "scale": scale,
        "image_size": math.prod(window.image) * channels,
        "results": math.prod(window.result),
        **window.fields,
        "reach_y": (window.extent[0] - 1) * window.dilation[0] + 1,
        "reach_x": (window.extent[1] - 1) * window.dilation[1] + 1,
    }
    return Text(_CODE.format(**fields), _STATEMENT.format(**fields))
