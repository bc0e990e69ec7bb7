"""One output of a variant beside the source model's: measures as data, the test that failed, whether it proves.

An output *proves* something if zeros in its place would have failed, or if it agrees in the relative norm, which no
scale can hide; so does one whose limits go with the outputs themselves (8 and 4 bits), where the norm decides. A
reference that is (nearly) zero, not finite, or empty proves nothing; nor does one of 8 or 4 bits whose elements share
an offset so large that a constant would have passed, unless it agrees about its mean as well.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from turnkey.verify.tolerance import Tolerance, Tolerances

_NEARLY_ZERO_AGREEMENT = 1e-3
"""Relative L2 error below which even a tiny reference proves agreement: chance cannot produce it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputComparison:
    """One output.

    Attributes:
        name: in the reference.
        failed_test: ``missing``, ``shape``, ``dtype``, ``nan``, ``infinity``, ``exact``, ``element`` or ``norm``;
            empty if the output agrees.
        proves: whether agreement says anything about the variant.
        reason: one sentence in words: why it failed, or why it proves nothing.
        index: of the worst element, where there is one.
        reference_value, actual_value: at that index; texts for values that are not finite.
        max_abs, max_rel, relative_l2, cosine: over the elements that are finite on both sides; None where not
            defined. ``max_rel`` is over elements of the reference that are not zero.
        reference_max_abs: largest finite magnitude in the reference.
        disagreeing, elements: how many elements are outside of their limits, of how many.
        notes: what a reader must know (another dtype, another name).
    """

    name: str
    failed_test: str = ""
    proves: bool = True
    reason: str = ""
    index: tuple[int, ...] | None = None
    reference_value: float | int | bool | str | None = None
    actual_value: float | int | bool | str | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    relative_l2: float | None = None
    cosine: float | None = None
    reference_max_abs: float | None = None
    disagreeing: int = 0
    elements: int = 0
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Plain data for the state and for records; fields without a value are left out."""
        fields = asdict(self)
        fields["index"] = None if self.index is None else list(self.index)
        fields["notes"] = list(self.notes)
        return {key: value for key, value in fields.items() if value not in (None, "", [])}


def compare_output(
    name: str, reference: np.ndarray, actual: np.ndarray, tolerances: Tolerances, notes: tuple[str, ...]
) -> OutputComparison:
    reference, actual = np.asarray(reference), np.asarray(actual)
    if reference.dtype != actual.dtype:
        if _kind(reference) != _kind(actual):
            reason = f"output {name!r} is {actual.dtype}, the source model's is {reference.dtype}"
            return OutputComparison(name=name, failed_test="dtype", proves=False, reason=reason, notes=notes)
        notes = (*notes, f"{actual.dtype} against {reference.dtype}")
    if reference.shape != actual.shape:
        reason = f"output {name!r} has shape {list(actual.shape)}, the source model's has {list(reference.shape)}"
        return OutputComparison(name=name, failed_test="shape", proves=False, reason=reason, notes=notes)
    if reference.size == 0:
        reason = f"output {name!r} is empty, which proves nothing"
        return OutputComparison(name=name, proves=False, reason=reason, notes=notes)
    if _kind(reference) in "OSUV":
        return _compare_texts(name, reference, actual, notes)
    limit = tolerances.limit_for(str(reference.dtype), str(actual.dtype))
    return _compare_values(name, _widened(reference), _widened(actual), limit, notes)


def _compare_texts(name: str, reference: np.ndarray, actual: np.ndarray, notes: tuple[str, ...]) -> OutputComparison:
    """Strings, which ONNX files may return: equal or not."""
    unequal = np.asarray(reference.astype(str) != actual.astype(str))
    if not unequal.any():
        return OutputComparison(name=name, elements=int(reference.size), notes=notes)
    index = tuple(int(i) for i in np.unravel_index(int(unequal.argmax()), reference.shape))
    expected, got = str(reference[index]), str(actual[index])
    return OutputComparison(
        name=name,
        failed_test="exact",
        proves=False,
        reason=f"output {name!r} at {list(index)}: {got!r} instead of {expected!r}",
        index=index,
        reference_value=expected,
        actual_value=got,
        disagreeing=int(unequal.sum()),
        elements=int(reference.size),
        notes=notes,
    )


def _compare_values(
    name: str, reference: np.ndarray, actual: np.ndarray, limit: Tolerance, notes: tuple[str, ...]
) -> OutputComparison:
    """Two arrays of one shape: both float64, both complex128, or both integers."""
    finite = np.isfinite(reference) & np.isfinite(actual)
    magnitude = np.where(finite, np.abs(reference), 0).astype(np.float64)
    error = _difference(reference, actual, finite)
    with np.errstate(over="ignore"):  # float64 outputs near its maximum: an infinite norm is handled below
        norm = float(np.sqrt(np.sum(magnitude**2)))
        rms = norm / max(1, int(finite.sum())) ** 0.5
        error_norm = float(np.sqrt(np.sum(error**2)))
    scale = max(limit.smallest_scale, rms) if limit.scaled and np.isfinite(rms) else 1.0
    allowed = limit.atol * scale + limit.rtol * magnitude
    nonzero = finite & (magnitude > 0)
    relative_l2 = error_norm / norm if norm > 0 and np.isfinite(norm) and np.isfinite(error_norm) else None
    outside = error > allowed
    with np.errstate(over="ignore"):
        relative = error[nonzero] / magnitude[nonzero]
    measures: dict[str, Any] = {
        "max_abs": _largest(error[finite]),
        "max_rel": _largest(relative),
        "relative_l2": relative_l2,
        "cosine": _cosine(reference, actual, finite),
        "reference_max_abs": _largest(magnitude[finite]),
        "elements": int(reference.size),
        "notes": notes,
    }

    def failed(test: str, disagreeing: np.ndarray, worst: int, words: str) -> OutputComparison:
        index = tuple(int(i) for i in np.unravel_index(worst, reference.shape))
        expected, got = _plain(reference[index]), _plain(actual[index])
        return OutputComparison(
            name=name,
            failed_test=test,
            proves=False,
            reason=f"output {name!r} at {list(index)}: {_short(got)} instead of {_short(expected)}; {words}",
            index=index,
            reference_value=expected,
            actual_value=got,
            disagreeing=int(disagreeing.sum()),
            **measures,
        )

    other_nan = np.isnan(reference) != np.isnan(actual)
    if other_nan.any():
        words = f"{int(other_nan.sum())} of {reference.size} elements are NaN on one side only"
        return failed("nan", other_nan, int(other_nan.argmax()), words)
    other_infinite = ~finite & ~np.isnan(reference) & (reference != actual)
    if other_infinite.any():
        words = f"{int(other_infinite.sum())} of {reference.size} elements are infinite on one side only"
        return failed("infinity", other_infinite, int(other_infinite.argmax()), words)
    if outside.any():
        exact = limit.rtol == 0 and limit.atol == 0
        worst = int(np.argmax(error - allowed))
        share = f"{int(outside.sum())} of {reference.size} elements are outside of the tolerance"
        bound = "must be equal" if exact else f"error {error.flat[worst]:.3g}, allowed {allowed.flat[worst]:.3g}"
        return failed("exact" if exact else "element", outside, worst, f"{bound}; {share}")
    # Where every element of the reference is smaller than its limit, the norm of the error is that of noise; but not
    # where the limits are wide because the outputs are large, as at 4 bits.
    tells = bool((magnitude > allowed).any()) or (limit.relative_l2 is not None and rms > limit.smallest_scale)
    if tells and limit.relative_l2 is not None and relative_l2 is not None and relative_l2 > limit.relative_l2:
        words = f"the relative L2 error is {relative_l2:.3g}, allowed {limit.relative_l2:.3g}"
        return failed("norm", outside, int(np.argmax(error)), words)
    hidden = _hidden_by_offset(name, reference[finite], norm, error_norm, limit)
    proves, reason = (False, hidden) if hidden else _evidence(name, magnitude, finite, relative_l2, tells=tells)
    return OutputComparison(name=name, proves=proves, reason=reason, **measures)


def _hidden_by_offset(name: str, reference: np.ndarray, norm: float, error_norm: float, limit: Tolerance) -> str:
    """Why an offset that all elements share hides the error; empty where it does not, or where nothing varies."""
    if not limit.about_mean or limit.relative_l2 is None or not 0 < norm < math.inf:
        return ""
    spread = float(np.linalg.norm(reference - reference.mean()))
    if not 0 < spread <= limit.relative_l2 * norm or error_norm <= limit.relative_l2 * spread:
        return ""
    return (
        f"output {name!r} varies by {spread / norm:.1%} about its mean, so that a constant would agree too, and the "
        f"error is {error_norm / spread:.2g} of how far it varies, allowed {limit.relative_l2:.3g}"
    )


def _evidence(
    name: str, magnitude: np.ndarray, finite: np.ndarray, relative_l2: float | None, *, tells: bool
) -> tuple[bool, str]:
    """Whether agreement with this reference proves anything, and a sentence where that is in doubt."""
    if not finite.any():
        return False, f"output {name!r} of the source model has no finite element, which proves nothing"
    if tells:
        return True, ""
    largest = float(magnitude.max())
    if largest == 0:
        return False, f"output {name!r} of the source model is zero everywhere, which proves nothing"
    nearly = f"output {name!r} of the source model is zero within the tolerance (largest magnitude {largest:.3g})"
    if relative_l2 is not None and relative_l2 < _NEARLY_ZERO_AGREEMENT:
        return True, f"{nearly}: judged by the relative L2 error {relative_l2:.3g} alone"
    return False, f"{nearly}, which proves nothing"


def _largest(values: np.ndarray) -> float | None:
    """None for no values, and for one beyond float64 (JSON has no infinity)."""
    largest = float(values.max()) if values.size else math.inf
    return largest if math.isfinite(largest) else None


def _difference(reference: np.ndarray, actual: np.ndarray, finite: np.ndarray) -> np.ndarray:
    if reference.dtype.kind in "iu":
        # Exact for 64-bit integers, whose difference float64 would round to zero or int64 would wrap.
        unequal = reference != actual
        apart = np.abs(reference.astype(np.float64) - actual.astype(np.float64))
        exact: np.ndarray = np.where(unequal, np.maximum(apart, 1.0), 0.0)
        return exact
    with np.errstate(over="ignore"):
        apart = np.abs(np.where(finite, reference, 0) - np.where(finite, actual, 0))
    return np.asarray(apart, dtype=np.float64)


def _cosine(reference: np.ndarray, actual: np.ndarray, finite: np.ndarray) -> float | None:
    a, b = reference[finite].ravel(), actual[finite].ravel()
    wide = np.complex128 if np.iscomplexobj(a) else np.float64
    a, b = a.astype(wide), b.astype(wide)
    largest_a, largest_b = np.abs(a).max(initial=0), np.abs(b).max(initial=0)
    if largest_a == 0 or largest_b == 0:
        return None
    a, b = a / largest_a, b / largest_b  # keeps squares of huge and of tiny values finite and nonzero
    return float(np.clip(np.vdot(a, b).real / (np.linalg.norm(a) * np.linalg.norm(b)), -1.0, 1.0))


def _kind(array: np.ndarray) -> str:
    """Dtypes of one kind may stand for each other (a converter narrows them)."""
    if array.dtype.kind == "V":  # of ml_dtypes: bfloat16, float8_e5m2, int4
        return "f" if "float" in array.dtype.name else "i" if "int" in array.dtype.name else "V"
    return {"u": "i"}.get(array.dtype.kind, array.dtype.kind)


def _widened(array: np.ndarray) -> np.ndarray:
    kind = _kind(array)
    if kind == "f":
        return np.asarray(array, dtype=np.float64)
    if kind == "c":
        return np.asarray(array, dtype=np.complex128)
    if kind == "b" or array.dtype.kind == "V":
        return np.asarray(array, dtype=np.int64)
    return array


def _short(value: float | int | str) -> str:
    return f"{value:.7g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> float | int | str:
    """A scalar as plain data: YAML and JSON have no NaN, no infinity and no complex numbers."""
    if isinstance(value, np.integer):
        return int(value)
    if np.iscomplexobj(value) or not np.isfinite(value):
        return str(value)
    return float(value)
