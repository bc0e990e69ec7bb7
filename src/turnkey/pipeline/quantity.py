"""Quantities as users write them on a command line: counts, seconds, sizes. Each function is an `Argument.parse`."""

from __future__ import annotations

import math
import re

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_BINARY_UNITS = {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]i?)?b?", re.IGNORECASE)


def count(text: str) -> int:
    """A whole number of 0 or more."""
    value = whole_number(text)
    if value < 0:
        raise ValueError("it must be 0 or more")
    return value


def positive_count(text: str) -> int:
    """A whole number of 1 or more."""
    value = whole_number(text)
    if value < 1:
        raise ValueError("it must be 1 or more")
    return value


def whole_number(text: str) -> int:
    """A whole number of either sign."""
    try:
        return int(text)
    except ValueError:
        raise ValueError("it must be a whole number") from None


def positive_number(text: str) -> float:
    """A finite number above 0: a duration in seconds, a tolerance that must not be exact."""
    value = number(text)
    if value <= 0:
        raise ValueError("it must be above 0")
    return value


def percentage(text: str) -> float:
    """A share above 0 from ``5%`` or ``2.5 %``; without its sign a number could mean either."""
    amount, sign, rest = text.strip().partition("%")
    if not sign or rest:
        raise ValueError("it must be a percentage such as 5%")
    return positive_number(amount.strip()) / 100


def tolerance(text: str) -> float:
    """A finite number of 0 or more."""
    value = number(text)
    if value < 0:
        raise ValueError("it must be 0 or more")
    return value


def number(text: str) -> float:
    """A finite number; a NaN limit would disarm whatever it limits."""
    try:
        value = float(text)
    except ValueError:
        raise ValueError("it must be a number") from None
    if not math.isfinite(value):
        raise ValueError("it must be finite")
    return value


def size_bytes(text: str) -> int:
    """A size in bytes from ``4GiB``, ``256MB``, ``1.5g`` or ``4096``; ``GiB`` is 1024**3, ``GB`` and ``G`` 1000**3."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise ValueError("it must be a size such as 4GiB, 256MB or 4096")
    amount, unit = match.group(1), (match.group(2) or "").lower()
    value = int(float(amount) * (_UNITS | _BINARY_UNITS)[unit])
    if value < 1:
        raise ValueError("it must be above 0")
    return value


def size_text(value_bytes: int) -> str:
    """A size for people, in binary units: ``256 MiB``."""
    value = float(value_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if value < 1024:
            return f"{value:.0f} {unit}" if unit == "bytes" or value >= 100 else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"
