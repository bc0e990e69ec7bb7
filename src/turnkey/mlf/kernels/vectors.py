"""Vectors of float in C: GNU vector types as wide as the target has them, and plain floats where there are none.

``vectors(graph.vector_bytes)``, first among a kernel's ``helpers``, is the text of ``c/vectors.h``. It defines

* ``TURNKEY_LANES``: 16, 8, 4 or 1 floats per vector; never wider than the tarball's ``vector_bytes``;
* ``turnkey_floats``: values, on which C's operators work lane by lane, also with a scalar as one side; with one lane
  they are ``float``. ``turnkey_bits`` are their bits (uint32), and masks;
* ``turnkey_load(p)``, ``turnkey_store(p, v)``: at any multiple of four bytes, whatever type the bytes were written as;
  ``.._part`` with a count touch the first so many floats only;
* ``turnkey_max``, ``turnkey_min`` (the second value where one is not a number), ``turnkey_all(x)`` (x in each lane);
* ``turnkey_exp``, ``turnkey_tanh``, ``turnkey_erf``, ``turnkey_sigmoid``, ``turnkey_rsqrt``: at most 4 ULP from the
  exact value; ``turnkey_activate(x, TURNKEY_RELU, low, high)`` and the like;
* ``turnkey_finish``: bias, side operand and activation of a sum, and the store;
* ``TURNKEY_INFINITY``, ``TURNKEY_NAN``: as constants;
* ``TURNKEY_INLINE``: in front of functions that must become part of their callers, and may stay unused;
* ``TURNKEY_UNROLLED``: in front of loops of at most 16 turns that must be unrolled.
"""

from __future__ import annotations

import functools
from pathlib import Path

_C = Path(__file__).parent / "c"


@functools.cache
def c_text(name: str) -> str:
    """``c/<name>.h``, which another text of its name in the same unit leaves out."""
    guard = f"TURNKEY_{name.upper()}_H"
    return f"#ifndef {guard}\n#define {guard}\n{(_C / f'{name}.h').read_text(encoding='utf-8')}#endif"


def vectors(vector_bytes: int) -> str:
    """The helper text, with no vector wider than that."""
    return f"#ifndef TURNKEY_VECTOR_BYTES\n#define TURNKEY_VECTOR_BYTES {vector_bytes}\n#endif\n{c_text('vectors')}"
