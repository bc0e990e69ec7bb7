"""Figures as people read them: three significant digits, a dash for what was not measured.

No latency here is good for more than three digits; a dash is a figure that was not measured, or that too few calls
stand behind.
"""

from __future__ import annotations

import math
from typing import Any, TypeGuard

from turnkey.pipeline.quantity import size_text

NONE = "–"


def is_number(value: Any) -> TypeGuard[int | float]:
    """Whether a value of a file is a finite number."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def number(value: Any) -> str:
    """``1.23``, ``0.00456``, ``12,345``; a dash for anything that is no number."""
    if not is_number(value):
        return NONE
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def size(value: Any) -> str:
    """``44.0 MiB``; a dash for what is no size or nothing."""
    return size_text(int(value)) if is_number(value) and value > 0 else NONE


def interval(center: Any, low: Any, high: Any) -> str:
    """``5.38 [4.54, 6.4]``; without bounds the centre alone."""
    if not is_number(center) or not is_number(low) or not is_number(high):
        return number(center)
    return f"{number(center)} [{number(low)}, {number(high)}]"


def count(amount: int, noun: str) -> str:
    """``1 model``, ``2 models``."""
    return f"{amount:,} {noun}" if amount == 1 else f"{amount:,} {noun}s"
