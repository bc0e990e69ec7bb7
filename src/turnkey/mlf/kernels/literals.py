"""Numbers as C writes them."""

from __future__ import annotations

import ctypes
import math


def c_float(value: float) -> str:
    """A float32 as a C constant that reads back as the same bits; any NaN as the quiet one.

    Infinities and NaN, which C has no literals for, are the macros of ``c/vectors.h``.
    """
    single = ctypes.c_float(value).value  # what is too large for it becomes infinite, as in every other computation
    if math.isnan(single):
        return "TURNKEY_NAN"
    if math.isinf(single):
        return "-TURNKEY_INFINITY" if single < 0 else "TURNKEY_INFINITY"
    text = f"{single:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
