"""Whether a difference is only rounding that the model itself makes large.

Some networks (deep ones without normalisation, with random weights) turn a last bit of their input into a per cent of
their output. Two right computations then differ by more than any sensible tolerance. The module in float64 says which
of both is off: a variant that is no farther from it than the module's own float32 result computes the same thing.
A wrong operator is farther by orders of magnitude.

Scope: asked only where a float32 module and a file differ. A module that forces float32 inside gives a float64 result
like its float32 one, and then nothing is excused.
"""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from turnkey.model.samples import Sample
from turnkey.verify import Comparison, OutputComparison, VerificationVerdict, compare

if TYPE_CHECKING:
    import torch

    from turnkey.model.call import CallStructure

_FACTOR = 3.0
"""How much farther than the module's own result the variant may be: both errors are one draw of rounding."""
_MEANINGLESS = 0.1
"""Relative L2 error of float32 itself from which on its outputs are noise, and agree with anything."""
_OF_SIZE = {"element", "norm"}


def excused_as_rounding(
    comparison: Comparison,
    module: torch.nn.Module,
    structure: CallStructure | None,
    sample: Sample,
    *,
    reference: Sample,
    actual: Sample,
) -> Comparison:
    """The comparison with outputs accepted that differ by no more than the module differs from itself in float64."""
    failed = [output for output in comparison.outputs if output.failed_test]
    if not failed or any(output.failed_test not in _OF_SIZE for output in failed):
        return comparison
    truth = _in_float64(module, structure, sample)
    if truth is None:
        return comparison
    own, theirs = _by_name(compare(truth, reference)), _by_name(compare(truth, actual))
    outputs = tuple(_excused(output, own, theirs) if output.failed_test else output for output in comparison.outputs)
    if any(output.failed_test for output in outputs):
        return comparison
    return replace(comparison, outputs=outputs)


def _excused(
    output: OutputComparison, own: dict[str, OutputComparison], theirs: dict[str, OutputComparison]
) -> OutputComparison:
    mine, other = own.get(output.name), theirs.get(output.name)
    if mine is None or other is None or (mine.relative_l2 or 0.0) > _MEANINGLESS:
        return output
    for measure in ("relative_l2", "max_abs"):
        bound, error = getattr(mine, measure), getattr(other, measure)
        if bound is None or error is None or error > _FACTOR * bound:
            return output
    words = (
        f"output {output.name!r} is ill-conditioned: the model in float32 is {mine.relative_l2:.2g} off its own "
        f"float64 result (relative L2), the variant {other.relative_l2:.2g}"
    )
    return replace(output, failed_test="", proves=True, reason=words, index=None, disagreeing=0)


def _in_float64(module: torch.nn.Module, structure: CallStructure | None, sample: Sample) -> Sample | None:
    """Outputs of a float64 copy; None where the module cannot be copied or does not run in float64."""
    from turnkey.formats.torch_call import call_of, outputs_of

    wide = {name: array.astype(np.float64) if array.dtype == np.float32 else array for name, array in sample.items()}
    try:
        return outputs_of(call_of(copy.deepcopy(module).double(), structure, wide), wide)
    except Exception as error:  # noqa: BLE001 - the user's module was never meant for float64
        print(f"the model does not run in float64: {type(error).__name__}: {error}")
        return None


def _by_name(comparison: Comparison) -> dict[str, OutputComparison]:
    if comparison.verdict is VerificationVerdict.UNVERIFIED:
        return {}
    return {output.name: output for output in comparison.outputs}
