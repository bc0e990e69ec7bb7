"""Numbers in C text read back as the same float."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st

from turnkey.mlf.kernels.literals import c_float


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_a_float_reads_back_as_the_same_bits(value: float) -> None:
    text = c_float(value)
    assert text.endswith("f")
    assert any(mark in text for mark in ".e"), "without either it would be a whole number with a wrong suffix"
    assert struct.pack("<f", float(text[:-1])) == struct.pack("<f", value)


def test_what_has_no_literal_is_a_macro_that_every_compiler_reads() -> None:
    texts = [c_float(value) for value in (math.inf, -math.inf, math.nan, 1e39)]
    assert texts == ["TURNKEY_INFINITY", "-TURNKEY_INFINITY", "TURNKEY_NAN", "TURNKEY_INFINITY"]
