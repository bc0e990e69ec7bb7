"""Whether a variant computes what the source model computes: all outputs of one sample, compared.

The verdict has three values, since a comparison can also prove nothing: where the reference is (nearly) zero, not
finite, or empty, a variant that computes nonsense may agree with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from turnkey.model.samples import Sample
from turnkey.verify.output_comparison import OutputComparison, compare_output
from turnkey.verify.tolerance import Tolerances


class VerificationVerdict(Enum):
    VALID = "valid"
    INVALID = "invalid"
    UNVERIFIED = "unverified"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """All outputs of one sample.

    Attributes:
        outputs: in the order of the reference.
        unexpected: outputs that only the variant has; they are said, not judged.
    """

    outputs: tuple[OutputComparison, ...]
    unexpected: tuple[str, ...] = ()

    @property
    def verdict(self) -> VerificationVerdict:
        if any(output.failed_test for output in self.outputs):
            return VerificationVerdict.INVALID
        if any(output.proves for output in self.outputs):
            return VerificationVerdict.VALID
        return VerificationVerdict.UNVERIFIED

    @property
    def first_failure(self) -> OutputComparison | None:
        return next((output for output in self.outputs if output.failed_test), None)

    @property
    def reason(self) -> str:
        """Why it is not valid; empty if it is."""
        failure = self.first_failure
        if failure is not None:
            return failure.reason
        if self.verdict is VerificationVerdict.VALID:
            return ""
        if not self.outputs:
            return "the model has no outputs to compare"
        return "; ".join(output.reason for output in self.outputs)

    def worst(self, measure: str) -> float | None:
        """The largest ``max_abs``, ``max_rel`` or ``relative_l2`` of all outputs; None if none has it."""
        values = [value for output in self.outputs if (value := getattr(output, measure)) is not None]
        return max(values, default=None)


def compare(
    reference: Sample,
    actual: Sample,
    *,
    tolerances: Tolerances | None = None,
    by_output: Mapping[str, Tolerances] | None = None,
) -> Comparison:
    """Compare all outputs of one sample.

    Args:
        reference: outputs of the source model, in order.
        actual: outputs of the variant. Outputs are matched by name; what is left over is matched by position if
            as many are left on both sides and the shapes agree (an exporter renamed them).
        tolerances: limits; by default those of each output's dtype.
        by_output: limits of single outputs, by name in the reference.
    """
    tolerances = tolerances or Tolerances()
    pairs, unexpected = _matched(reference, actual)
    outputs = []
    for name, other in pairs.items():
        if other is None:
            reason = f"output {name!r} is missing; the variant has {', '.join(map(repr, actual)) or 'no outputs'}"
            outputs.append(OutputComparison(name=name, failed_test="missing", proves=False, reason=reason))
            continue
        notes = () if other == name else (f"the variant calls it {other!r}",)
        limits = (by_output or {}).get(name, tolerances)
        outputs.append(compare_output(name, reference[name], actual[other], limits, notes))
    return Comparison(outputs=tuple(outputs), unexpected=unexpected)


def _matched(reference: Sample, actual: Sample) -> tuple[dict[str, str | None], tuple[str, ...]]:
    missing = [name for name in reference if name not in actual]
    unexpected = [name for name in actual if name not in reference]
    renamed: dict[str, str] = {}
    if len(missing) == len(unexpected) and all(
        np.shape(reference[old]) == np.shape(actual[new]) for old, new in zip(missing, unexpected, strict=True)
    ):
        renamed = dict(zip(missing, unexpected, strict=True))
    pairs = {name: name if name in actual else renamed.get(name) for name in reference}
    return pairs, () if renamed else tuple(unexpected)
