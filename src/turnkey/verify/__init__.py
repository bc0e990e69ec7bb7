"""Verification: whether a variant computes what the source model computes, and with what evidence."""

from __future__ import annotations

from turnkey.verify.comparison import Comparison, OutputComparison, VerificationVerdict, compare
from turnkey.verify.tolerance import Tolerance, Tolerances

__all__ = ["Comparison", "OutputComparison", "Tolerance", "Tolerances", "VerificationVerdict", "compare"]
