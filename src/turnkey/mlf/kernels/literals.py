"""Numbers as C writes them."""

from __future__ import annotations

import math


def c_float(value: float) -> str:
    """A float32 as a C constant that reads back as the same bits; the largest float stands for infinity."""
    if math.isinf(value):
        return "-3.402823466e+38f" if value < 0 else "3.402823466e+38f"
    text = f"{value:.9g}"
    return f"{text}f" if any(mark in text for mark in ".e") else f"{text}.0f"
