"""Fourier transforms of lengths with the factors 2, 3 and 5: passes of these radices instead of a sum per output.

The generator has a fast transform for powers of two only, and else adds up n products per value: slower, and with the
rounding of n additions where a fast transform has that of log n.

Source: decimation in frequency with self-sorting passes (Temperton, "Self-sorting mixed-radix fast Fourier
transforms", J. Comput. Phys. 52, 1983), in the order of additions that numpy's transform uses.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from turnkey.mlf import dtypes
from turnkey.mlf.node import describe, is_standard
from turnkey.mlf.program import Kernel, Step
from turnkey.mlf.tensor import Tensor

if TYPE_CHECKING:
    import numpy as np
    import onnx

_CODE = """\
/* One butterfly: r values, real and imaginary parts by turns; s is 1 for the inverse transform, else -1. */
static void @butterfly(idx_t r, T s, const T *t, T *u) {
  if (r == 2) {
    for (int p = 0; p < 2; ++p) { u[p] = t[p] + t[2 + p]; u[2 + p] = t[p] - t[2 + p]; }
  } else if (r == 3) {
    const T real = (T)-0.5, imaginary = s * (T)0.86602540378443864676;
    T sum[2], difference[2], a[2], b[2];
    for (int p = 0; p < 2; ++p) {
      sum[p] = t[2 + p] + t[4 + p];
      difference[p] = t[2 + p] - t[4 + p];
      u[p] = t[p] + sum[p];
      a[p] = t[p] + real * sum[p];
    }
    b[0] = -(imaginary * difference[1]);
    b[1] = imaginary * difference[0];
    for (int p = 0; p < 2; ++p) { u[2 + p] = a[p] + b[p]; u[4 + p] = a[p] - b[p]; }
  } else if (r == 4) {
    T a[2], b[2], c[2], d[2];
    for (int p = 0; p < 2; ++p) {
      a[p] = t[p] + t[4 + p];
      b[p] = t[p] - t[4 + p];
      c[p] = t[2 + p] + t[6 + p];
    }
    d[0] = -(s * (t[3] - t[7]));
    d[1] = s * (t[2] - t[6]);
    for (int p = 0; p < 2; ++p) {
      u[p] = a[p] + c[p];
      u[2 + p] = b[p] + d[p];
      u[4 + p] = a[p] - c[p];
      u[6 + p] = b[p] - d[p];
    }
  } else {
    const T r1 = (T)0.3090169943749474241, r2 = (T)-0.8090169943749474241;
    const T i1 = s * (T)0.95105651629515357212, i2 = s * (T)0.58778525229247312917;
    T t1[2], t2[2], t3[2], t4[2], a[2], b[2];
    for (int p = 0; p < 2; ++p) {
      t1[p] = t[2 + p] + t[8 + p];
      t4[p] = t[2 + p] - t[8 + p];
      t2[p] = t[4 + p] + t[6 + p];
      t3[p] = t[4 + p] - t[6 + p];
      u[p] = t[p] + t1[p] + t2[p];
    }
    for (int p = 0; p < 2; ++p) a[p] = t[p] + r1 * t1[p] + r2 * t2[p];
    b[1] = i1 * t4[0] + i2 * t3[0];
    b[0] = -(i1 * t4[1] + i2 * t3[1]);
    for (int p = 0; p < 2; ++p) { u[2 + p] = a[p] + b[p]; u[8 + p] = a[p] - b[p]; }
    for (int p = 0; p < 2; ++p) a[p] = t[p] + r2 * t1[p] + r1 * t2[p];
    b[1] = i2 * t4[0] - i1 * t3[0];
    b[0] = -(i2 * t4[1] - i1 * t3[1]);
    for (int p = 0; p < 2; ++p) { u[4 + p] = a[p] + b[p]; u[6 + p] = a[p] - b[p]; }
  }
}

/* All lines along one axis; memory holds two lines. */
static void @transform(const T *in, T *out, idx_t outer, idx_t n, idx_t inner, const unsigned char *factors,
                       const T *roots, T s, T scale, T *memory) {
  for (idx_t o = 0; o < outer; ++o) {
    for (idx_t q = 0; q < inner; ++q) {
      T *line = memory, *other = memory + 2 * n;
      idx_t done = 1;
      for (idx_t i = 0; i < n; ++i) {
        for (int p = 0; p < 2; ++p) line[2 * i + p] = in[2 * ((o * n + i) * inner + q) + p];
      }
      for (const unsigned char *factor = factors; *factor; ++factor) {
        const idx_t r = *factor, rest = n / (done * r);
        T *swap = line;
        for (idx_t k = 0; k < done; ++k) {
          for (idx_t i = 0; i < rest; ++i) {
            T t[10], u[10];
            for (idx_t j = 0; j < r; ++j) {
              for (int p = 0; p < 2; ++p) t[2 * j + p] = line[2 * (i + rest * (j + r * k)) + p];
            }
            @butterfly(r, s, t, u);
            for (idx_t m = 0; m < r; ++m) {
              const T *w = roots + 2 * (m * done * i);
              T *place = other + 2 * (i + rest * (k + done * m));
              place[0] = u[2 * m] * w[0] - u[2 * m + 1] * w[1];
              place[1] = u[2 * m] * w[1] + u[2 * m + 1] * w[0];
            }
          }
        }
        line = other;
        other = swap;
        done *= r;
      }
      for (idx_t i = 0; i < n; ++i) {
        for (int p = 0; p < 2; ++p) out[2 * ((o * n + i) * inner + q) + p] = line[2 * i + p] * scale;
      }
    }
  }
}
"""


def fourier_step(
    node: onnx.NodeProto, tensors: Mapping[str, Tensor], constants: Mapping[str, np.ndarray]
) -> Step | None:
    """DFT from complex to complex numbers, of the whole axis; None for any other, and for powers of two."""
    if node.op_type != "DFT" or not is_standard(node):
        return None
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    names = [*node.input, "", ""]
    data, target = tensors[names[0]], tensors[node.output[0]]
    if data.dtype not in ("float32", "float64") or data.shape != target.shape or data.shape[-1] != 2:
        return None
    if attributes.get("onesided") or names[1]:
        return None
    axes = _axes(names[2], attributes, constants, rank=len(data.shape))
    lengths = [data.shape[axis] for axis in axes]
    if not axes or not all(_factors(length) is not None for length in lengths):
        return None
    if all(length & (length - 1) == 0 for length in lengths):
        return None
    at_run_time = len(axes) > 1
    kind = dtypes.of_name(data.dtype)
    sign = 1 if attributes.get("inverse") else -1
    cases = [_case(data.shape, axis, sign, kind.c_type) for axis in axes]
    if at_run_time:
        body = "\n".join(f"  case {axis}: {call} break;" for axis, (_, call) in zip(axes, cases, strict=True))
        rank = len(data.shape)
        statement = f"switch (in1[0] < 0 ? (int)in1[0] + {rank} : (int)in1[0]) {{\n{body}\n  default: return -1;\n}}"
    else:
        statement = cases[0][1]
    tables = dict.fromkeys(table for table, _ in cases)
    kernel = Kernel(
        operators=("dft",),
        inputs=(kind.c_type, *(("int64_t",) if at_run_time else ())),
        outputs=(kind.c_type,),
        code="\n".join((*tables, re.sub(r"\bT\b", kind.c_type, _CODE))),
        statement=statement,
        kind="dft",
        scratch_bytes=4 * kind.bytes * max(lengths),
    )
    inputs = (data.name, *((names[2],) if at_run_time else ()))
    return Step(kernel=kernel, inputs=inputs, outputs=(target.name,), nodes=(describe(node),))


def _axes(
    name: str, attributes: Mapping[str, int], constants: Mapping[str, np.ndarray], *, rank: int
) -> Sequence[int]:
    """Axes that may be transformed: one that is known, or all but the last where the program is told it."""
    if name in constants:
        return [int(constants[name].reshape(-1)[0]) % rank]
    if name:
        return range(rank - 1)
    return [attributes["axis"] % rank] if "axis" in attributes else []


def _factors(length: int) -> list[int] | None:
    """Radices of the passes, as numpy orders them: fours, one two in front, odd ones; None for other factors."""
    found = []
    for radix in (4, 2, 3, 5):
        while length % radix == 0 and length > 0:
            found.append(radix)
            length //= radix
    if length != 1:
        return None
    if 2 in found:
        found.remove(2)
        found.insert(0, 2)
    return found


def _case(shape: Sequence[int], axis: int, sign: int, c_type: str) -> tuple[str, str]:
    """Tables for one length, and the call for one axis."""
    length = shape[axis]
    outer, inner = math.prod(shape[:axis]), math.prod(shape[axis + 1 : -1])
    suffix = "f" if c_type == "float" else ""
    angles = [sign * 2 * math.pi * k / length for k in range(length)]
    roots = ", ".join(f"{_literal(part(angle))}{suffix}" for angle in angles for part in (math.cos, math.sin))
    factors = ", ".join(map(str, (*(_factors(length) or ()), 0)))
    table = (
        f"static const unsigned char @factors{length}[] = {{{factors}}};\n"
        f"static const {c_type} @roots{length}[] = {{{roots}}};"
    )
    scale = f"{_literal(1 / length)}{suffix}" if sign > 0 else f"1.0{suffix}"
    call = (
        f"@transform(in0, out0, {outer}, {length}, {inner}, @factors{length}, @roots{length}, "
        f"{sign}.0{suffix}, {scale}, ({c_type} *)(void *)scratch);"
    )
    return table, call


def _literal(value: float) -> str:
    """A decimal literal; multiples of a quarter turn are exact."""
    nearest = round(value)
    return f"{nearest}.0" if abs(value - nearest) < 1e-15 else repr(value)
