"""Verification: whether a variant computes what the source model computes, and with what evidence."""

from __future__ import annotations

from turnkey.verify.batch import batch_size
from turnkey.verify.comparison import Comparison, VerificationVerdict, compare
from turnkey.verify.output_comparison import OutputComparison
from turnkey.verify.tolerance import Tolerance, Tolerances, precision_of

__all__ = [
    "Comparison",
    "OutputComparison",
    "Tolerance",
    "Tolerances",
    "VerificationVerdict",
    "batch_size",
    "compare",
    "precision_of",
]
