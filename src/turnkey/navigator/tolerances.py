"""How far a runner's outputs may lie from the source model's. The comparison itself is `turnkey.verify`'s.

``abs(c - r) <= atol + rtol * abs(r)`` for every element, with defaults by the lower precision of both sides; integers
and booleans are exact. A user's limits replace them per output; None records the differences without judging them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from turnkey.model.samples import Sample
from turnkey.navigator.output_names import under_names
from turnkey.navigator.status import OutputTolerance
from turnkey.verify import Comparison, Tolerances, VerificationVerdict, compare

_BY_PRECISION = {
    "float64": (1e-5, 1e-3),
    "float32": (1e-5, 1e-3),
    "float16": (1e-3, 1e-2),
    "bfloat16": (1e-2, 3e-2),
}
"""(atol, rtol), the highest precision first."""
_ORDER = tuple(_BY_PRECISION)
_NOT_JUDGED = ("exact", "element", "norm")
"""Tests that a limit of None switches off; another number, shape or kind of outputs stays a failure."""

Limits = Mapping[str, tuple[float, float] | None]
"""(atol, rtol) by output name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What comparing all samples of one runner showed.

    Attributes:
        ok: nothing differs, and something was compared.
        reason: why not; empty if ok.
        tolerances: largest differences by output.
    """

    ok: bool
    reason: str
    tolerances: tuple[OutputTolerance, ...]


def checked_limits(given: Limits | None) -> dict[str, tuple[float, float] | None]:
    """Limits of a call. Raises UsageError for one that is not finite or negative: it would let everything pass."""
    found: dict[str, tuple[float, float] | None] = {}
    for name, pair in (given or {}).items():
        if pair is not None:
            atol, rtol = pair
            Tolerances(rtol=rtol, atol=atol)  # refuses what is not a limit
        found[name] = None if pair is None else (float(pair[0]), float(pair[1]))
    return found


def effective_limits(
    reference: Sample, actual: Sample, *, precision: str | None = None, limits: Limits | None = None
) -> dict[str, tuple[float, float] | None]:
    """By what each output of the reference is judged: its own limit, else that of the lowest precision involved.

    Args:
        precision: as `compare_outputs`.
    """
    known, aligned = limits or {}, under_names(reference, actual)
    return {
        name: known[name] if name in known else _default(array, aligned.get(name, array), precision)
        for name, array in reference.items()
    }


def compare_outputs(
    reference: Sample, actual: Sample, *, precision: str | None = None, limits: Limits | None = None
) -> Comparison:
    """All outputs of one sample, each under its own limits.

    Args:
        precision: in which the variant computes, where it is coarser than its outputs' dtypes.
    """
    aligned = under_names(reference, actual)
    judged = []
    for name, limit in effective_limits(reference, actual, precision=precision, limits=limits).items():
        array, given = reference[name], {name: aligned[name]} if name in aligned else {}
        atol, rtol = limit or _default(array, given.get(name, array), precision)
        [output] = compare({name: array}, given, tolerances=Tolerances(atol=atol, rtol=rtol)).outputs
        if limit is None and output.failed_test in _NOT_JUDGED:
            output = replace(output, failed_test="", proves=True, reason="recorded, not judged")
        judged.append(output)
    return Comparison(outputs=tuple(judged), unexpected=tuple(name for name in aligned if name not in reference))


def summarize(comparisons: Sequence[Comparison], *, outputs: Sequence[str], limits: Limits | None = None) -> Finding:
    """One finding over all samples. Nothing compared is a failure, as is agreement that proves nothing.

    Args:
        limits: by which the outputs were judged, to be written down; see `effective_limits`.
    """
    tolerances = []
    for name in outputs:
        judged_by = (limits or {}).get(name)
        mine = [output for each in comparisons for output in each.outputs if output.name == name]
        tolerances.append(
            OutputTolerance(
                output_name=name,
                atol=max((output.max_abs for output in mine if output.max_abs is not None), default=None),
                rtol=max((output.max_rel for output in mine if output.max_rel is not None), default=None),
                limit_atol=None if judged_by is None else judged_by[0],
                limit_rtol=None if judged_by is None else judged_by[1],
            )
        )
    found = tuple(tolerances)
    if not comparisons or not outputs:
        return Finding(ok=False, reason="there were no outputs to compare", tolerances=found)
    for each in comparisons:
        if each.verdict is VerificationVerdict.INVALID:
            return Finding(ok=False, reason=each.reason, tolerances=found)
    if not any(each.verdict is VerificationVerdict.VALID for each in comparisons):
        return Finding(ok=False, reason=comparisons[0].reason, tolerances=found)
    return Finding(ok=True, reason="", tolerances=found)


def _default(reference: np.ndarray, actual: np.ndarray, precision: str | None) -> tuple[float, float]:
    names = [name for name in (str(reference.dtype), str(actual.dtype), precision) if name in _BY_PRECISION]
    return _BY_PRECISION[max(names, key=_ORDER.index)] if names else (0.0, 0.0)
