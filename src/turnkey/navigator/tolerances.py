"""How far a runner's outputs may lie from the source model's. The comparison itself is `turnkey.verify`'s.

``abs(c - r) <= atol + rtol * abs(r)`` for every element, with defaults by the lower precision of both sides; integers
and booleans are exact. A user's limits replace them per output; None records the differences without judging them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from turnkey.errors import UsageError
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


def checked_limits(given: Any) -> dict[str, tuple[float, float] | None]:
    """Limits of a call, as anyone may give them.

    Raises:
        UsageError: no mapping of pairs; or a limit that is negative or not finite, which would let everything pass.
    """
    if given is not None and not isinstance(given, Mapping):
        raise UsageError("tolerances is no mapping of output names", evidence=repr(given)[:200])
    found: dict[str, tuple[float, float] | None] = {}
    for name, pair in (given or {}).items():
        if pair is None:
            found[name] = None
            continue
        try:
            atol, rtol = (float(limit) for limit in pair)
        except (TypeError, ValueError):
            raise UsageError("a tolerance is a pair (atol, rtol), or None", evidence=f"{name}: {pair!r}") from None
        Tolerances(rtol=rtol, atol=atol)  # refuses what is not a limit
        found[name] = (atol, rtol)
    return found


def plain_limits(limits: Limits) -> dict[str, list[float] | None]:
    """Limits as JSON and YAML hold them."""
    return {name: None if pair is None else list(pair) for name, pair in limits.items()}


def limits_from(plain: Mapping[str, Any]) -> dict[str, tuple[float, float] | None]:
    """The limits of `plain_limits`."""
    return {name: None if pair is None else (float(pair[0]), float(pair[1])) for name, pair in plain.items()}


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
    limits_by_output = effective_limits(reference, actual, precision=precision, limits=limits)
    tolerances = {}
    for name, limit in limits_by_output.items():
        atol, rtol = limit or _default(reference[name], aligned.get(name, reference[name]), precision)
        tolerances[name] = Tolerances(atol=atol, rtol=rtol)
    found = compare(reference, aligned, by_output=tolerances)
    return replace(
        found,
        outputs=tuple(
            replace(output, failed_test="", proves=True, reason="recorded, not judged")
            if limits_by_output[output.name] is None and output.failed_test in _NOT_JUDGED
            else output
            for output in found.outputs
        ),
    )


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
