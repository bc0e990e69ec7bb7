"""Lowering: from a prepared ONNX graph to kernels in C and the steps that call them."""

from __future__ import annotations

from turnkey.mlf.lowering.graph import lower
from turnkey.mlf.program import Kernel, Program, Step

__all__ = ["Kernel", "Program", "Step", "lower"]
