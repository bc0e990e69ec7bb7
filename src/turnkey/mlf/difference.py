"""How far an output is from its reference: absolute, relative to its largest value, and in steps of its type."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_BITS = {"float16": 16, "float32": 32, "float64": 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Largest differences over the values that are finite on both sides.

    Attributes:
        max_rel: relative to the largest reference value.
        max_ulp: representable numbers between the two values; None for types without such a count.
    """

    max_abs: float = 0.0
    max_rel: float = 0.0
    max_ulp: int | None = None

    def joined(self, other: Difference) -> Difference:
        """The larger of each."""
        steps = [steps for steps in (self.max_ulp, other.max_ulp) if steps is not None]
        return Difference(
            max_abs=max(self.max_abs, other.max_abs),
            max_rel=max(self.max_rel, other.max_rel),
            max_ulp=max(steps, default=None),
        )

    def to_dict(self) -> dict[str, Any]:
        fields: dict[str, Any] = {"max_abs": self.max_abs, "max_rel": self.max_rel}
        return fields if self.max_ulp is None else {**fields, "max_ulp": self.max_ulp}


def difference(expected: np.ndarray, actual: np.ndarray) -> Difference:
    """Of two arrays of one shape and type."""
    import numpy as np

    left, right = expected.astype(np.float64), actual.astype(np.float64)
    finite = np.isfinite(left) & np.isfinite(right)
    if not finite.any():
        return Difference()
    largest = float(np.abs(left[finite] - right[finite]).max())
    scale = float(np.abs(left[finite]).max())
    return Difference(
        max_abs=largest,
        max_rel=largest / scale if scale else 0.0,
        max_ulp=_steps(expected[finite], actual[finite]),
    )


def _steps(expected: np.ndarray, actual: np.ndarray) -> int | None:
    """Numbers of the type between two values, over zero too: bit patterns ordered like their values."""
    import numpy as np

    bits = _BITS.get(expected.dtype.name)
    if expected.dtype != actual.dtype or bits is None:
        return None
    middle = np.uint64(1 << (bits - 1))  # of zero; magnitudes lie above it, those of negative numbers below
    ranks = []
    for array in (expected, actual):
        pattern = np.ascontiguousarray(array).view(f"uint{bits}").astype(np.uint64)
        magnitude = pattern & (middle - np.uint64(1))
        ranks.append(np.where(pattern >= middle, middle - magnitude, middle + magnitude))
    return int((np.maximum(*ranks) - np.minimum(*ranks)).max())
